"""Cut the slices of dead units out of tensors: parameters, buffers, gradients, optimizer states and snapshots alike.

A cut says for a dimension of a tensor which indices stay. Tensors are cut in place: a parameter gets smaller numbers
and stays the same object, so that optimizers, hooks and averages go on with it.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from lightning_prune.masks.optimizer_state import owned_by, reset_
from lightning_prune.selection.parameters import plain_name
from lightning_prune.structures.groups import Group

Cut = Mapping[int, Tensor]  # by dimension, the indices that stay: int64, rising
Alive = Mapping[str, Tensor]  # by group, a vector of the group's width: 1 where a unit is alive


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of a module by each of their names.

    Example:
        >>> list(tensors_of(nn.BatchNorm1d(3)))
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    parameters = module.named_parameters(remove_duplicate=False)
    return {plain_name(name): one for name, one in [*parameters, *module.named_buffers(remove_duplicate=False)]}


def cuts_of(groups: Iterable[Group], alive: Alive) -> dict[str, dict[int, Tensor]]:
    """Find what stays of each tensor.

    Args:
        groups: The groups of a network.
        alive: The living units of groups by name. A group that is missing lives.

    Returns:
        The cuts by the names of the tensors. Dimensions of which everything stays are left out.

    Example:
        >>> from lightning_prune.structures.groups import Slices
        >>> rows = Slices("0.weight", 0, torch.arange(3), "producer")
        >>> cuts_of([Group("0", 3, (rows,))], {"0": torch.tensor([1, 0, 1])})
        {'0.weight': {0: tensor([0, 2])}}
    """
    staying: dict[tuple[str, int], Tensor] = {}
    for group in groups:
        if group.name in alive:
            for one in group.slices:
                stays = stays_of(one.units, alive[group.name])
                # One dimension may hold units of several groups, as behind a concatenation.
                staying[one.tensor, one.dim] = staying.get((one.tensor, one.dim), torch.tensor(True)) & stays
    cuts: dict[str, dict[int, Tensor]] = {}
    for (tensor, dim), stays in staying.items():
        if not bool(stays.all()):
            cuts.setdefault(tensor, {})[dim] = stays.nonzero().flatten()
    return cuts


def stays_of(units: Tensor, alive: Tensor) -> Tensor:
    """Mark the indices that stay.

    Args:
        units: The unit of each index, int64, -1 for an index that belongs to no unit.
        alive: The living units.

    Example:
        >>> stays_of(torch.tensor([0, 0, 1, -1]), torch.tensor([0, 1]))
        tensor([False, False,  True,  True])
    """
    return alive.cpu().bool()[units.clamp(min=0)] | (units < 0)


def counts_of(groups: Iterable[Group], alive: Alive) -> dict[str, dict[str, int]]:
    """Count what is left of the numbers that fall with units, such as ``groups`` of a convolution.

    Args:
        groups: The groups of a network.
        alive: The living units of groups by name. A group that is missing lives.

    Returns:
        The new numbers by module and attribute. A number that stays is left out.
    """
    staying: dict[tuple[str, str], Tensor] = {}
    for group in groups:
        for one in group.counted if group.name in alive else ():
            place = (one.module, one.attribute)
            staying[place] = staying.get(place, torch.tensor(True)) & stays_of(one.units, alive[group.name])
    counts: dict[str, dict[str, int]] = {}
    for (module, attribute), stays in staying.items():
        if not bool(stays.all()):
            counts.setdefault(module, {})[attribute] = int(stays.sum())
    return counts


def mask_(tensors: Mapping[str, Tensor], groups: Iterable[Group], alive: Alive) -> None:
    """Set all slices of dead units to zero in place, but not the statistics of norms.

    Args:
        tensors: Tensors by name. Slices of other tensors are left out.
        groups: The groups of the network.
        alive: The living units of groups by name. A group that is missing lives.
    """
    with torch.no_grad():
        for group in groups:
            for one in group.slices if group.name in alive else ():
                dead = (~stays_of(one.units, alive[group.name])).nonzero().flatten()
                if one.role != "statistic" and one.tensor in tensors and len(dead):
                    tensors[one.tensor].index_fill_(one.dim, dead.to(tensors[one.tensor].device), 0)


def cut(tensor: Tensor, by: Cut) -> Tensor:
    """Take what stays of a tensor.

    Args:
        tensor: Any tensor. A dimension of size 1 stays as it is, as in states that hold a number for each row.
        by: The indices that stay, by dimension.

    Returns:
        A new tensor with the same memory format. The tensor itself if ``by`` is empty.

    Example:
        >>> cut(torch.arange(6).view(2, 3), {1: torch.tensor([0, 2])})
        tensor([[0, 2],
                [3, 5]])
    """
    found = tensor
    for dim, kept in by.items():
        found = found.index_select(dim, kept.to(tensor.device)) if tensor.shape[dim] > 1 else found
    for format, dims in ((torch.channels_last, 4), (torch.channels_last_3d, 5)):
        if tensor.dim() == dims and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=format):
            return found.contiguous(memory_format=format)
    return found


def cut_all(tensors: Mapping[str, Tensor], cuts: Mapping[str, Cut]) -> dict[str, Tensor]:
    """Cut named tensors, such as a state or the snapshot of a rewind point.

    Args:
        tensors: Tensors by the names of the network's own.
        cuts: The cuts by name.
    """
    return {name: cut(tensor, cuts.get(plain_name(name), {})) for name, tensor in tensors.items()}


def cut_module_(module: nn.Module, cuts: Mapping[str, Cut]) -> Callable[[], None]:
    """Cut parameters, their gradients and buffers in place. Each stays the same object.

    Args:
        module: The network.
        cuts: The cuts by name.

    Returns:
        A function that undoes the cut.
    """
    tensors = tensors_of(module)
    parts = {id(tensors[name]): (tensors[name], by) for name, by in cuts.items()}  # once each, whatever its names
    before = [(tensor, tensor.data, tensor.grad, by) for tensor, by in parts.values()]
    for tensor, data, grad, by in before:
        tensor.grad = None
        tensor.data = cut(data, by)
        tensor.grad = None if grad is None or grad.is_sparse else cut(grad, by)

    def undo() -> None:
        for tensor, data, grad, _ in before:
            tensor.grad = None
            tensor.data = data
            tensor.grad = grad

    return undo


def cut_optimizer_(optimizer: Optimizer, cuts: Mapping[Tensor, Cut], shapes: Mapping[Tensor, torch.Size]) -> None:
    """Cut the state of an optimizer along with its parameters.

    What is kept for each weight, or for each row and column, is cut alike. A state of another form, such as a matrix
    for pairs of rows, is forgotten, and LBFGS forgets its whole history.

    Args:
        optimizer: The optimizer. It holds the same parameters before and after.
        cuts: The cuts by parameter.
        shapes: The shapes of the parameters before they were cut.
    """
    held = [one for one in owned_by(optimizer) if one in cuts]
    if held and isinstance(optimizer, LBFGS):
        reset_(optimizer)
        optimizer._numel_cache = None  # it counts the numbers only once
    for parameter in held:
        state, shape = optimizer.state.get(parameter, {}), shapes[parameter]
        if all(_fits(value, shape) for value in state.values()):
            parts = {n: one for n, one in state.items() if isinstance(one, Tensor) and one.dim() == len(shape)}
            state.update({name: cut(value, cuts[parameter]) for name, value in parts.items()})
        else:
            del optimizer.state[parameter]


def _fits(value: object, shape: torch.Size) -> bool:
    """Whether a state is a plain number, or has the sizes of its parameter, or 1 in their place."""
    if not isinstance(value, Tensor):
        return isinstance(value, int | float | type(None))
    if value.dim() == 0 or value.numel() == 1:
        return True
    return value.dim() == len(shape) and all(here in (1, size) for here, size in zip(value.shape, shape, strict=True))
