"""The dimensions of tensors after the trace: for every index the set that it belongs to, and whether that can go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_prune.structures.labels import ANY, PLAIN
from lightning_prune.structures.trace import Axis, Trace

FILTER_SIZE = "it is the size of a filter"


@dataclass(frozen=True)
class Side:
    """A dimension of a tensor.

    Args:
        axis: The tensor, and the part it has for its units.
        dim: The dimension.
        roots: For every index the root of its set.
    """

    axis: Axis
    dim: int
    roots: NDArray[np.int64]


def sides_of(trace: Trace) -> tuple[list[Side], dict[int, str]]:
    """Look at all dimensions of parameters and buffers.

    Args:
        trace: The trace, with its splits settled.

    Returns:
        The sides in the order of the forward pass, and the sets that can never be removed, each with the reason.
    """
    glued, sides = trace.labels.reasons([*trace.labels.glued, *trace.labels.tied]), list[Side]()
    bad = trace.labels.reasons(trace.labels.pinned) | {PLAIN: "it always stays", ANY: "it always stays"}
    for axis in trace.axes:
        roots = trace.labels.roots(axis.labels).numpy()
        dim = axis.dim if axis.dim is not None else _slices_along(roots)
        if dim is None:
            for root in np.unique(roots).tolist():
                bad.setdefault(root, f"units do not lie in slices of {axis.tensor}")
            dim = 0
        line = roots if axis.dim is not None else _line(roots, dim)[:, 0]
        sides.append(Side(axis, dim, line))
        if (line == line[0]).all():
            root = int(line[0])
            bad[root] = glued.get(root) or bad.get(root, "its units cannot be told apart")
    return sides, bad


def _slices_along(roots: NDArray[np.int64]) -> int | None:
    """The dimension along which the sets of a tensor's elements are whole slices."""
    for dim in reversed(range(roots.ndim)):
        if roots.shape[dim] > 1:
            line = _line(roots, dim)
            if (line == line[:, :1]).all():
                return dim
    return None


def _line(roots: NDArray[np.int64], dim: int) -> NDArray[np.int64]:
    return np.moveaxis(roots, dim, 0).reshape(roots.shape[dim], -1)
