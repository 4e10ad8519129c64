"""Number the units of each group, and write down where they lie."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_prune.structures.groups import Counted, Group, Slices
from lightning_prune.structures.sides import Side
from lightning_prune.structures.trace import Trace

FIXED_MODULES: Mapping[type[nn.Module], str] = {
    nn.MultiheadAttention: "nn.MultiheadAttention refuses a width other than embed_dim",
}


@dataclass(frozen=True)
class Units:
    """Which group and which unit the root of each set is.

    Args:
        names: The names of the groups.
        group: For each root the number of its group. -1 for what always stays.
        unit: For each root the number of the unit in its group. -1 for what always stays.
    """

    names: Sequence[str]
    group: NDArray[np.int64]
    unit: NDArray[np.int64]

    def of_group(self, number: int, roots: NDArray[np.int64]) -> Tensor:
        """The units of one group, -1 for all others."""
        return torch.from_numpy(np.where(self.group[roots] == number, self.unit[roots], -1))


def number_units(trace: Trace, sides: Sequence[Side], members: Mapping[tuple[int, ...], Sequence[int]]) -> Units:
    """Number the units of each group in the order of the first side.

    Args:
        trace: The trace.
        sides: All sides.
        members: The roots of the units of each group, by the numbers of the sides on which they lie.
    """
    group, unit = np.full(trace.labels.size, -1), np.full(trace.labels.size, -1)
    for number, roots in enumerate(members.values()):
        group[roots], unit[roots] = number, np.arange(len(roots))
    return Units(_names([[sides[one] for one in numbers] for numbers in members]), group, unit)


def groups_of(
    trace: Trace, sides: Sequence[Side], members: Mapping[tuple[int, ...], Sequence[int]], units: Units
) -> dict[str, Group]:
    """Write down where the units of each group lie.

    Args:
        trace: The trace.
        sides: All sides.
        members: As in :func:`number_units`.
        units: The numbers of the units.
    """
    literal, summed = trace.labels.reasons(trace.labels.literal), trace.labels.reasons(trace.labels.summed)
    counted = [(one, trace.labels.roots(one.labels).numpy()) for one in trace.counted]
    modules = dict(trace.module.named_modules())
    groups = {}
    for number, (name, (numbers, roots)) in enumerate(zip(units.names, members.items(), strict=True)):
        slices = tuple(_slices(number, [sides[one] for one in numbers], units))
        falling = tuple(
            Counted(one.module, one.attribute, units.of_group(number, found))
            for one, found in counted
            if (units.group[found] == number).any()
        )
        obstacle = next((literal[root] for root in roots if root in literal), None) or _fixed(slices, modules)
        groups[name] = Group(name, len(roots), slices, falling, obstacle, not summed.keys().isdisjoint(roots))
    return groups


def _slices(number: int, sides: Sequence[Side], units: Units) -> Iterator[Slices]:
    computed = any(side.axis.role == "producer" and not side.axis.bias for side in sides)
    for side in sides:
        role = side.axis.role or "within"
        role = "producer" if role == "within" and not computed else role
        yield Slices(side.axis.tensor, side.dim, units.of_group(number, side.roots), role, side.axis.bias)


def _names(groups: Sequence[Sequence[Side]]) -> list[str]:
    """Name each group after the module of its first producer, or the producer itself if groups share the module."""
    firsts = []
    for sides in groups:
        made = [side for side in sides if side.axis.role == "producer" and not side.axis.bias]
        firsts.append((made or list(sides))[0].axis.tensor)
    modules = [first.rpartition(".")[0] or first for first in firsts]
    names = [module if modules.count(module) == 1 else first for module, first in zip(modules, firsts, strict=True)]
    return [name if names.count(name) == 1 else f"{name}[{names[:i].count(name)}]" for i, name in enumerate(names)]


def _fixed(slices: Sequence[Slices], modules: Mapping[str, nn.Module]) -> str | None:
    """The reason of a module whose code holds its sizes."""
    for one in slices:
        owner = one.tensor.rpartition(".")[0]
        for name in (owner, owner.removesuffix(".out_proj")):
            for kind, reason in FIXED_MODULES.items():
                if isinstance(modules.get(name), kind):
                    return f"{reason} ({name})" if name else reason
    return None
