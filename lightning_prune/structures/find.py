"""Find the groups of units of a network, and what cannot be removed from it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from lightning_prune.structures.counting import costs_in
from lightning_prune.structures.groups import FoundStructures, Kept
from lightning_prune.structures.running import collection_paused, trace_of
from lightning_prune.structures.sides import FILTER_SIZE, Side, sides_of
from lightning_prune.structures.splits import settle_splits
from lightning_prune.structures.trace import Trace
from lightning_prune.structures.units import Units, groups_of, number_units

ALONE = "it is the only unit"
UNREAD = "no weight reads it"
UNMADE = "no weight makes it"
UNUSED = "the forward pass does not use it"


def structures_of(module: nn.Module, example: Any = None) -> FoundStructures:
    """Find the units of a network that can be removed: channels, heads, neurons.

    The network runs once, in eval mode and without gradients, on the first sample of the example. Afterwards its mode,
    parameters, buffers, hooks and attributes and the random state are as before. What an operation mixes, such as the
    channels of a LayerNorm, and what goes through an operation that we do not know, is in ``kept``, with the reason.

    Args:
        module: The network. It may be on the meta device, for which nothing is computed.
        example: A batch for ``training_step``, or the input of ``forward``: a tensor, or a tuple of positional or a
            dictionary of named arguments, or a batch of which ``forward`` takes the first part. None:
            ``example_input_array``, for ``forward``. A module that optimizes by hand runs its ``forward``.

    Returns:
        The groups, what is kept and why, and the costs.

    Raises:
        UserError: If there is no example, or the network does not run on it.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> print(structures_of(network, torch.ones(1, 3, 8, 8)))
        group  units  weights  operations  coupled  tensors and dimensions
        0      8      99.2 %   100.0 %     no       0.weight[0], 0.bias[0], 1.weight[0], 1.bias[0], 3.weight[1]
        <BLANKLINE>
        Never removed:
          aten.convolution in 0 reads data of a fixed size: 0.weight[1]
          the network returns it: 3.weight[0], 3.bias[0]
    """
    with collection_paused():
        return _found(trace_of(module, example))


def _found(trace: Trace) -> FoundStructures:
    settle_splits(trace)
    sides, bad = sides_of(trace)
    members = _members(sides, bad)
    units = number_units(trace, sides, members)
    groups = groups_of(trace, sides, members, units)
    shapes = {name: tuple(tensor.shape) for name, tensor in (*trace.parameters.items(), *trace.buffers.items())}
    kept = tuple(_kept(trace.parameters, sides, units, bad))
    return FoundStructures(groups, kept, shapes, costs_in(trace, groups, units))


def _members(sides: Sequence[Side], bad: dict[int, str]) -> dict[tuple[int, ...], list[int]]:
    """The sets by the sides on which they lie. What nothing computes or reads is added to ``bad``."""
    found = _by_sides(sides, bad)
    for signature, together in list(found.items()):
        roles = {sides[number].axis.role for number in signature}
        reason = ALONE if len(together) < 2 else UNREAD if "consumer" not in roles else None
        reason = UNMADE if roles <= {"consumer", "statistic", None} else reason
        if reason is not None:
            bad.update(dict.fromkeys(together, reason))
            del found[signature]
    return dict(sorted(found.items()))  # in the order of the forward pass


def _by_sides(sides: Sequence[Side], bad: Mapping[int, str]) -> dict[tuple[int, ...], list[int]]:
    """Gather the sets that lie on the same sides. There are many thousands of them, so we compare sums of numbers."""
    highest = max([*bad, *(int(side.roots.max()) for side in sides)])
    never = np.zeros(highest + 1, dtype=bool)
    never[list(bad)] = True
    roots = np.concatenate([np.empty(0, np.int64), *(side.roots for side in sides)])
    pairs = roots * len(sides) + np.repeat(np.arange(len(sides)), [len(side.roots) for side in sides])
    pairs = np.sort(pairs[~never[roots]], kind="stable")  # stable, because the roots of most sides ascend already
    roots, numbers = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], max(len(sides), 1))
    starts = np.flatnonzero(np.diff(roots, prepend=-1))
    if not len(starts):
        return {}
    marks = np.random.default_rng(0).integers(1 << 62, size=len(sides), dtype=np.uint64)
    sums = np.add.reduceat(marks[numbers], starts)
    _, firsts, which = np.unique(sums, return_index=True, return_inverse=True)
    ends = np.append(starts[1:], len(roots))
    return {
        tuple(numbers[starts[first] : ends[first]].tolist()): roots[starts[which == place]].tolist()
        for place, first in enumerate(firsts.tolist())
    }


def _kept(parameters: Collection[str], sides: Sequence[Side], units: Units, bad: Mapping[int, str]) -> Iterator[Kept]:
    seen = {side.axis.tensor for side in sides}
    told = {side.axis.tensor for side in sides if (units.group[side.roots] >= 0).any()}
    for side in sides:
        if side.axis.tensor in parameters and (units.group[side.roots] < 0).all():
            reason = next((bad[root] for root in side.roots.tolist() if root in bad), ALONE)
            if reason != FILTER_SIZE:
                told.add(side.axis.tensor)
                yield Kept(side.axis.tensor, side.dim, reason)
    # A convolution from one channel to one has no other sides than the size of its filter.
    yield from (Kept(name, 0, ALONE) for name in parameters if name in seen and name not in told)
    yield from (Kept(name, 0, UNUSED) for name in parameters if name not in seen)
