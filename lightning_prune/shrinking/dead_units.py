"""Which units are dead: as somebody says, or as the zeros in the weights say."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.slices import Alive
from lightning_prune.structures.groups import FoundStructures, Group


def dead_in_weights(found: FoundStructures, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find the units whose weights are all exactly zero, those that produce their values and those that read them.

    Args:
        found: The groups of the network.
        tensors: Its parameters and buffers by name. They are not changed.

    Returns:
        The living units of every group, uint8. If all units of a group are zero, the first counts as alive, because
        something has to stay.

    Example:
        >>> from lightning_prune.structures.groups import Slices
        >>> group = Group("0", 2, (Slices("0.weight", 0, torch.arange(2), "producer"),))
        >>> found = FoundStructures({"0": group}, (), {"0.weight": (2, 2)})
        >>> dead_in_weights(found, {"0.weight": torch.tensor([[0.0, 0.0], [0.0, 1.0]])})
        {'0': tensor([0, 1], dtype=torch.uint8)}
    """
    lines: dict[tuple[str, int], Tensor] = {}  # a consumer of several groups is looked at once
    alive = {name: _living(group, tensors, lines) for name, group in found.groups.items()}
    for one in alive.values():
        if not bool(one.any()):
            one[0] = 1
    return alive


def check_alive(found: FoundStructures, alive: Alive, asker: str) -> dict[str, Tensor]:
    """Check which units somebody says are alive.

    Args:
        found: The groups of the network.
        alive: The living units by the names of groups, numbers or truth values.
        asker: The call that asks, for errors.

    Returns:
        The same as uint8 on the CPU.

    Raises:
        ValueError: If a group is unknown, has another width, or has no living unit.
    """
    checked = {}
    for name, one in alive.items():
        if name not in found.groups:
            known = ", ".join(list(found.groups)[:8]) or "none"
            raise UserError(
                f"{asker}: alive names the group {name!r}, which this network does not have."
                f"{suggest(name, found.groups)} Its groups are: {known}."
            )
        living, width = torch.as_tensor(one).detach().cpu().bool(), found.groups[name].width
        if living.shape != (width,):
            raise UserError(
                f"{asker}: alive[{name!r}] has the shape {tuple(living.shape)}, and the group has {width} units. Give "
                f"a vector of {width} numbers."
            )
        if not bool(living.any()):
            raise UserError(
                f"{asker}: alive[{name!r}] keeps none of the {width} units, and nothing would pass through. Keep one."
            )
        checked[name] = living.to(torch.uint8)
    return checked


def check_found(found: FoundStructures, tensors: Mapping[str, Tensor], asker: str) -> None:
    """Refuse groups of another network.

    Args:
        found: The groups.
        tensors: The parameters and buffers of the network by name.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If a tensor of a group is missing or has another shape.
    """
    for name, shape in found.shapes.items():
        if name not in tensors or tuple(tensors[name].shape) != tuple(shape):
            here = f"has the shape {tuple(tensors[name].shape)}" if name in tensors else "is missing"
            raise UserError(
                f"{asker}: structures are of another network: {name} {here} and not {tuple(shape)}. Leave out "
                "structures, or find them again with structures_of(module, example)."
            )


def _living(group: Group, tensors: Mapping[str, Tensor], lines: dict[tuple[str, int], Tensor]) -> Tensor:
    alive = torch.zeros(group.width, dtype=torch.uint8)
    for one in group.slices:
        if one.role == "statistic" or one.tensor not in tensors:
            continue
        place = (one.tensor, one.dim)
        if place not in lines:
            lines[place] = _lines_with_numbers(tensors[one.tensor], one.dim)
        units = one.units[lines[place]]
        alive[units[units >= 0]] = 1
    return alive


def _lines_with_numbers(tensor: Tensor, dim: int) -> Tensor:
    """Mark the indices along a dimension at which a tensor is not all zero."""
    others = [one for one in range(tensor.dim()) if one != dim]
    found = tensor.detach() != 0
    return (found.sum(others) > 0 if others else found).cpu()
