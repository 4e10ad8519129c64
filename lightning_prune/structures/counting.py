"""The costs of a traced network, as sums of products of sizes."""

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_prune.structures.costs import Costs, Extent, Place, Term
from lightning_prune.structures.groups import Group
from lightning_prune.structures.trace import Trace
from lightning_prune.structures.units import Units


def costs_in(trace: Trace, groups: Mapping[str, Group], units: Units) -> Costs:
    """Make the cost table.

    Args:
        trace: The trace of the network.
        groups: Its groups.
        units: The numbers of the units.
    """
    extents = _extents(groups)
    parameters = []
    for name, tensor in trace.parameters.items():
        dims = [dim for dim in range(tensor.dim()) if (name, dim) in extents]
        rest = prod(size for dim, size in enumerate(tensor.shape) if dim not in dims)
        parameters.append(Term(rest, tuple((name, dim) for dim in dims)))
    alike = defaultdict[frozenset[str], list[Place]](list)
    for place, extent in extents.items():
        alike[_names(extent)].append(place)
    flops = [_term(trace, number, extents, alike, groups, units) for number in range(len(trace.products))]
    return Costs(tuple(parameters), tuple(flops), extents)


def _term(
    trace: Trace,
    number: int,
    extents: dict[Place, Extent],
    alike: dict[frozenset[str], list[Place]],
    groups: Mapping[str, Group],
    units: Units,
) -> Term:
    """The operations of a product. Dimensions that no tensor has are added to ``extents`` and ``alike``."""
    product = trace.products[number]
    factor, dims = Fraction(product.flops), list[Place]()
    for labels in product.along:
        roots = trace.labels.roots(labels).reshape(-1).numpy()
        extent = _extent(roots, groups, units)
        if extent.units and product.flops:
            found = _place(extent, {place: extents[place] for place in alike[_names(extent)]})
            if found is None or (factor * found[1] / len(roots)).denominator > 1:
                found = (f"{product.name} ({number}.{len(dims)})", -1), Fraction(1)
            if found[0] not in extents:
                extents[found[0]] = extent
                alike[_names(extent)].append(found[0])
            dims.append(found[0])
            factor *= found[1] / len(roots)
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


def _extent(roots: NDArray[np.int64], groups: Mapping[str, Group], units: Units) -> Extent:
    found = np.unique(units.group[roots])
    names = [(int(number), units.names[number]) for number in found if number >= 0]
    counts = [(name, _per_unit(units.of_group(number, roots), groups[name].width)) for number, name in names]
    return Extent(int((units.group[roots] < 0).sum()), tuple(counts))


def _names(extent: Extent) -> frozenset[str]:
    """The names of the groups whose units lie on a dimension."""
    return frozenset(name for name, _ in extent.units)


def _per_unit(units: Tensor, width: int) -> Tensor:
    numbers = units.numpy()
    return torch.from_numpy(np.bincount(numbers[numbers >= 0], minlength=width))


def _place(extent: Extent, others: Mapping[Place, Extent]) -> tuple[Place, Fraction] | None:
    """Find a dimension whose size is always a multiple of an extent's, and the ratio of the extent to the size.

    Args:
        extent: The extent.
        others: The dimensions with units of the same groups.
    """
    wanted, found = dict(extent.units), None
    for place, other in others.items():
        have = dict(other.units)
        mine = torch.cat([torch.tensor([extent.fixed]), *(wanted[name] for name in have)])
        theirs = torch.cat([torch.tensor([other.fixed]), *have.values()])
        if torch.equal(mine, theirs):
            return place, Fraction(1)
        if found is None and bool((mine * theirs.sum() == theirs * mine.sum()).all()):
            found = place, Fraction(int(mine.sum()), int(theirs.sum()))
    return found
