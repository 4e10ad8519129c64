"""Units of structures: the masks of a channel, a head or a neuron, on all tensors in which it lies."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Size, Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.granularity.base import Masks, Units
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.structures.costs import Costs
from lightning_prune.structures.groups import Group, Slices


class CoupledUnits(Units):
    """The units of groups of slices.

    Args:
        groups: The groups by name.
        shapes: The shapes of the tensors that they lie in, by name.
        minimum: The number of units that each group keeps at least.
        multiple: The number of units by which a group shrinks at a time.
        costs: What the network costs, depending on which units live.
    """

    def __init__(
        self,
        groups: Mapping[str, Group],
        shapes: Mapping[str, Sequence[int]],
        minimum: int = 1,
        multiple: int = 1,
        costs: Costs = Costs(),
    ) -> None:
        self.groups, self._given, self.multiple = dict(groups), shapes, multiple
        self._minimum, self.costs = minimum, costs
        self.shapes = {name: Size([group.width]) for name, group in groups.items()}
        self.weights = {
            name: tuple(one.tensor for one in group.slices if one.role == "producer" and not one.bias)
            for name, group in groups.items()
        }
        self.kernels = {name: Size(shapes[names[0]]) for name, names in self.weights.items()}
        self.kinds = {name: kind_of(group, shapes) for name, group in groups.items()}
        least = -(-minimum // multiple) * multiple
        self.minimum = {name: min(least, group.width) for name, group in groups.items()}
        self._lies: dict[str, list[tuple[str, Slices]]] = defaultdict(list)
        for name, group in groups.items():
            for one in group.slices:
                if one.role != "statistic":
                    self._lies[one.tensor].append((name, one))
        self.covered = {tensor: Size(shapes[tensor]) for tensor in self._lies}

    def rows(self, group: str, tensor_of: Callable[[str], Tensor], fill: float, masks: Masks) -> list[Tensor]:
        found = []
        for one in self.groups[group].slices:
            if one.role != "producer" or one.bias:
                continue
            tensor = tensor_of(one.tensor)
            for factor in self._factors_of(one.tensor, {name: m for name, m in masks.items() if name != group}):
                tensor = tensor.masked_fill(factor.to(tensor.device) == 0, fill)
            found.append(sorted_by_unit(tensor, one, self.groups[group].width, fill))
        return found

    def factors(self, masks: Masks) -> dict[str, tuple[Tensor, ...]]:
        found = {tensor: self._factors_of(tensor, masks) for tensor in self.covered}
        return {tensor: factors for tensor, factors in found.items() if factors}

    def found(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._living(group, masks) for name, group in self.groups.items()}

    def scales(self, group: str, tensor_of: Callable[[str], Tensor]) -> Tensor:
        own = self.groups[group]
        gates = scales_of(own)
        if not gates:
            raise UserError(
                f"The criterion looks at the scales of norms, and no norm is behind the units of {group!r}. Leave them "
                f"out: Structures(exclude=[{group!r}])."
            )
        return torch.cat([sorted_by_unit(tensor_of(one.tensor), one, own.width, 0.0) for one in gates], dim=1)

    def gate_sums(self, group: str, product_of: Callable[[str], Tensor]) -> Tensor:
        own = self.groups[group]
        # Behind a BatchNorm the rows add nothing but its eps. They count where not every producer has one.
        alone = len(scales_of(own)) >= len(own.producers)
        parts = [one for one in own.slices if one.role == "gate" or (one.role == "producer" and not alone)]
        sums = [sorted_by_unit(product_of(one.tensor), one, own.width, 0.0).sum(1) for one in parts]
        return torch.stack(sums).sum(0)

    def outputs(self, group: str) -> dict[str, Tensor]:
        slices = self.groups[group].slices
        return {one.tensor: one.units for one in slices if one.role == "producer" and not one.bias}

    def inputs(self, group: str) -> list[tuple[str, int, Tensor]]:
        return [(one.tensor, one.dim, one.units) for one in self.groups[group].slices if one.role == "consumer"]

    def only(self, weights: Iterable[str]) -> "CoupledUnits":
        kept = set(weights)
        left = {name: group for name, group in self.groups.items() if kept.issuperset(group.producers)}
        return CoupledUnits(left, self._given, self._minimum, self.multiple, self.costs)

    def living_network(self, masks: Masks) -> LivingNetwork:
        alive = {name: mask.detach().cpu() for name, mask in masks.items()}
        return LivingNetwork(self.groups, alive, self.costs)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "slices": {name: fingerprint(group) for name, group in self.groups.items()}}

    def _factors_of(self, tensor: str, masks: Masks) -> tuple[Tensor, ...]:
        """A mask for each dimension of a tensor along which something is dead."""
        along: dict[int, list[Tensor]] = defaultdict(list)
        for name, one in self._lies[tensor]:
            if name in masks:
                along[one.dim].append(_along(one, masks[name]))
        dims = len(self.covered[tensor])
        return tuple(
            reduce(torch.mul, vectors).view([-1 if dim == place else 1 for place in range(dims)])
            for dim, vectors in along.items()
        )

    def _living(self, group: Group, masks: Mapping[str, Tensor]) -> Tensor:
        """Which units have a weight that lives."""
        alive = torch.zeros(group.width, dtype=torch.uint8)
        for one in group.slices:
            if one.role == "statistic":
                continue
            if one.tensor not in masks:
                return torch.ones_like(alive)
            mask = masks[one.tensor].to(torch.uint8)
            alive |= sorted_by_unit(mask, one, group.width, 0).amax(1)
        return alive


def scales_of(group: Group) -> list[Slices]:
    """The slices of a group in the scales of norms, without the shifts.

    Args:
        group: The group.
    """
    gates = [one for one in group.slices if one.role == "gate" and not one.bias]
    return [one for one in gates if "bias" not in one.tensor.rpartition(".")[2]]


def sorted_by_unit(tensor: Tensor, one: Slices, width: int, fill: float) -> Tensor:
    """Put the numbers of a tensor into one row for each unit.

    Args:
        tensor: The tensor.
        one: Where the units lie in it.
        width: The number of units.
        fill: What stands where a unit has fewer numbers than others.

    Returns:
        A matrix with ``width`` rows.

    Example:
        >>> where = Slices("w", 1, torch.tensor([1, 0, 1, 0]), "producer")
        >>> sorted_by_unit(torch.tensor([[1, 2, 3, 4]]), where, 2, 0).tolist()
        [[2, 4], [1, 3]]
    """
    lines = tensor.movedim(one.dim, 0).reshape(tensor.shape[one.dim], -1)
    places = [(one.units == unit).nonzero().squeeze(1) for unit in range(width)]
    longest = max(map(len, places))
    if all(len(place) == longest for place in places):
        return lines[torch.stack(places).to(tensor.device)].flatten(1)
    padded = torch.cat([lines, lines.new_full((1, lines.shape[1]), fill)])
    rows = torch.full((width, longest), len(lines))
    for unit, place in enumerate(places):
        rows[unit, : len(place)] = place
    return padded[rows.to(tensor.device)].flatten(1)


def kind_of(group: Group, shapes: Mapping[str, Sequence[int]]) -> str:
    """The signature of a group: what its tensors do with the units, and along which dimension they lie.

    Args:
        group: The group.
        shapes: The shapes of the tensors by name.
    """
    parts = [f"{one.role} {one.dim} of {len(shapes[one.tensor])}" for one in group.slices]
    return ", ".join(sorted(parts))


def fingerprint(group: Group) -> str:
    """Describe where the units of a group lie. Two descriptions are equal if and only if the slices are.

    Args:
        group: The group.
    """
    digest = hashlib.sha256()
    for one in group.slices:
        digest.update(f"{one.tensor} {one.dim} {one.role} ".encode() + one.units.numpy().tobytes())
    listed = ", ".join(f"{one.tensor}[{one.dim}]" for one in group.slices)
    return f"{listed} #{digest.hexdigest()[:16]}"


def _along(one: Slices, mask: Tensor) -> Tensor:
    """The mask of the indices along the dimension. What belongs to no unit lives."""
    units = one.units.to(mask.device)
    return torch.where(units < 0, 1, mask[units.clamp(min=0)]).to(torch.uint8)
