"""Dimensions that a view divides into several: only whole slices along one of the new dimensions can go."""

import torch
from torch import Tensor

from lightning_prune.structures.labels import ANY, Labels, without_repeats
from lightning_prune.structures.trace import Trace


def settle_splits(trace: Trace) -> None:
    """Choose for every divided dimension the new one that keeps most units, and glue the others.

    For the channels of attention these are the heads, for a channel shuffle the channels of a group. In pictures that
    go through no attention, the first dimension is taken for a number of groups that code holds.

    Args:
        trace: The trace of a whole forward pass.
    """
    done: set[tuple[tuple[int, ...], bytes]] = set()
    tied = trace.labels.reasons(trace.labels.tied)
    for labels, reason, picture in trace.splits:
        roots = without_repeats(trace.labels.roots(labels).contiguous())
        key = (tuple(roots.shape), roots.numpy().tobytes())
        if key in done or not bool((roots > ANY).any()):
            continue
        done.add(key)
        new = range(roots.dim() - 1)
        kept = max(reversed(new), key=lambda dim: _units(roots, dim))  # the last of the best
        if picture and tied.keys().isdisjoint(roots.reshape(-1).tolist()):
            kept = new[-1]  # these are no heads: code holds the number of groups, which comes first
        trace.glue(roots, [dim for dim in range(roots.dim()) if dim != kept], reason, mixes=False)


def _units(roots: Tensor, dim: int) -> int:
    """How many units are left if only whole slices along a dimension can go."""
    rows = roots.movedim(dim, 0).reshape(roots.shape[dim], -1)
    sets, places = torch.unique(rows, return_inverse=True)
    trial = Labels()
    row, column = trial.fresh(len(rows)), trial.fresh(len(sets))
    trial.merge(row[:, None].expand(places.shape), column[places])
    return len(torch.unique(trial.roots(row)))
