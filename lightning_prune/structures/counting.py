"""The costs of a traced network, as sums of products of sizes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod

import torch
from torch import Tensor, nn

from lightning_prune.selection.parameters import plain_name
from lightning_prune.structures.costs import Costs, Extent, Place, Term
from lightning_prune.structures.groups import Group
from lightning_prune.structures.trace import Trace

UnitOf = Mapping[int, tuple[str, int]]  # the group and the unit of each set that can be removed, by its root


def costs_in(module: nn.Module, trace: Trace, groups: Mapping[str, Group], unit_of: UnitOf) -> Costs:
    """Make the cost table.

    Args:
        module: The network.
        trace: Its trace.
        groups: Its groups.
        unit_of: For the root of each set that can be removed its group and unit.
    """
    extents = _extents(groups)
    parameters = []
    for name, tensor in module.named_parameters():
        dims = [dim for dim in range(tensor.dim()) if (plain_name(name), dim) in extents]
        rest = prod(size for dim, size in enumerate(tensor.shape) if dim not in dims)
        parameters.append(Term(rest, tuple((plain_name(name), dim) for dim in dims)))
    flops = [_term(trace, number, extents, groups, unit_of) for number in range(len(trace.products))]
    return Costs(tuple(parameters), tuple(flops), extents)


def _term(
    trace: Trace, number: int, extents: dict[Place, Extent], groups: Mapping[str, Group], unit_of: UnitOf
) -> Term:
    product = trace.products[number]
    factor, dims = Fraction(product.flops), list[Place]()
    for labels in product.along:
        roots = trace.labels.roots(labels).reshape(-1).tolist()
        extent = _extent([unit_of.get(root) for root in roots], groups)
        if extent.units and product.flops:
            place, ratio = _place(extent, extents) or ((f"{product.name} ({number})", -1), Fraction(1))
            extents.setdefault(place, extent)
            dims.append(place)
            factor *= ratio / len(roots)
    return Term(int(factor), tuple(dims))


def _extents(groups: Mapping[str, Group]) -> dict[Place, Extent]:
    """The dimensions on which units lie. Several groups may share one."""
    found: dict[Place, list[tuple[str, Tensor]]] = defaultdict(list)
    lengths = {}
    for group in groups.values():
        for one in group.slices:
            found[one.tensor, one.dim].append((group.name, _per_unit(one.units, group.width)))
            lengths[one.tensor, one.dim] = len(one.units)
    return {
        place: Extent(lengths[place] - sum(int(counts.sum()) for _, counts in units), tuple(units))
        for place, units in found.items()
    }


def _extent(units: Sequence[tuple[str, int] | None], groups: Mapping[str, Group]) -> Extent:
    of_group: dict[str, list[int]] = defaultdict(list)
    for one in units:
        if one is not None:
            of_group[one[0]].append(one[1])
    counts = [(name, _per_unit(torch.tensor(found), groups[name].width)) for name, found in of_group.items()]
    return Extent(units.count(None), tuple(counts))


def _per_unit(units: Tensor, width: int) -> Tensor:
    return torch.bincount(units[units >= 0], minlength=width)


def _place(extent: Extent, extents: Mapping[Place, Extent]) -> tuple[Place, Fraction] | None:
    """A dimension whose size is always a multiple of an extent's, and the ratio of the extent to the size."""
    wanted = dict(extent.units)
    for place, other in extents.items():
        have = dict(other.units)
        if have.keys() == wanted.keys():
            mine = torch.cat([torch.tensor([extent.fixed]), *(wanted[name] for name in have)])
            theirs = torch.cat([torch.tensor([other.fixed]), *have.values()])
            if bool((mine * theirs.sum() == theirs * mine.sum()).all()):
                return place, Fraction(int(mine.sum()), int(theirs.sum()))
    return None
