"""Labels for the elements of tensors, in sets that are merged: what stands in one set lives and dies together."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PLAIN = 0  # the label of elements that are nobody's unit, such as data and positions: they always stay
ANY = 1  # the label of elements that fit to all others, such as zeros of whatever size is needed
_FIRST = 2

Array = NDArray[np.int64]


@dataclass
class Labels:
    """Labels that are merged into sets (disjoint-set union, vectorized), with what is known about each set.

    Example:
        >>> labels = Labels()
        >>> first, second = labels.fresh(3), labels.fresh(3)
        >>> labels.merge(first, second.flip(0))
        >>> labels.roots(second).tolist()
        [4, 3, 2]
        >>> labels.note(labels.pinned, first[:1], "it is an output")
        >>> labels.reasons(labels.pinned)
        {2: 'it is an output'}

    Reference:
        Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", 1975, https://doi.org/10.1145/321879.321884
    """

    size: int = _FIRST
    pinned: list[tuple[Array, str]] = field(default_factory=list)  # never removed, and why
    glued: list[tuple[Array, str]] = field(default_factory=list)  # mixed, so that they go as a whole only, and why
    tied: list[tuple[Array, str]] = field(default_factory=list)  # the same, because they share something
    literal: list[tuple[Array, str]] = field(default_factory=list)  # could be masked, but code holds their number
    summed: list[tuple[Array, str]] = field(default_factory=list)  # values of several producers are added
    _parent: Array = field(default_factory=lambda: np.arange(1024, dtype=np.int64))

    def fresh(self, count: int) -> Tensor:
        """Make new labels, each in a set of its own.

        Args:
            count: How many, at least 0.

        Returns:
            Consecutive labels, int64, of the shape ``[count]``.
        """
        start, self.size = self.size, self.size + count
        if self.size > len(self._parent):
            grown = np.arange(2 * self.size, dtype=np.int64)
            grown[: len(self._parent)] = self._parent
            self._parent = grown
        return torch.arange(start, self.size)

    def roots(self, labels: Tensor) -> Tensor:
        """The smallest label of each label's set, in the shape of ``labels``. Expanded dimensions stay expanded."""
        narrow = without_repeats(labels)
        return torch.from_numpy(self._roots(narrow.numpy())).expand(labels.shape)

    def merge(self, first: Tensor, second: Tensor) -> None:
        """Put the labels of two tensors of one shape into the same sets, element by element.

        Args:
            first: Labels other than ``PLAIN`` and ``ANY``.
            second: As many of them.
        """
        a, b = self._roots(first.numpy().ravel()), self._roots(second.numpy().ravel())
        while True:
            differ = a != b
            if not differ.any():
                return
            low, high = np.minimum(a[differ], b[differ]), np.maximum(a[differ], b[differ])
            np.minimum.at(self._parent, high, low)
            a, b = self._roots(low), self._roots(high)

    def note(self, where: list[tuple[Array, str]], labels: Tensor, reason: str) -> None:
        """Note something about the sets of labels. ``PLAIN`` and ``ANY`` are left out.

        Args:
            where: One of the lists of this object.
            labels: The labels.
            reason: A sentence.
        """
        found = without_repeats(labels).numpy().ravel()
        if (found := found[found >= _FIRST]).size:
            where.append((found, reason))

    def reasons(self, where: list[tuple[Array, str]]) -> dict[int, str]:
        """The first reason that was noted for each set, by the root of the set.

        Args:
            where: One of the lists of this object.
        """
        first = np.full(self.size, -1)
        for place, (labels, _) in reversed(list(enumerate(where))):  # so that the first note is written last
            first[self._roots(labels)] = place
        return {root: where[first[root]][1] for root in np.flatnonzero(first >= 0).tolist()}

    def _roots(self, labels: Array) -> Array:
        roots = self._parent[labels]
        while True:
            higher = self._parent[roots]
            if (higher == roots).all():
                break
            roots = higher
        self._parent[labels] = roots
        return roots


def without_repeats(labels: Tensor) -> Tensor:
    """Narrow the dimensions in which a tensor is expanded to size 1.

    Example:
        >>> without_repeats(torch.arange(3).expand(1000, 3)).shape
        torch.Size([1, 3])
    """
    for dim in range(labels.dim()):
        if labels.shape[dim] > 1 and labels.stride(dim) == 0:
            labels = labels.narrow(dim, 0, 1)
    return labels


def constant_along(labels: Tensor, dim: int) -> bool:
    """Whether labels do not change along a dimension.

    Example:
        >>> labels = torch.tensor([[2, 3], [2, 3]])
        >>> constant_along(labels, 0), constant_along(labels, 1)
        (True, False)
    """
    if labels.shape[dim] <= 1 or labels.stride(dim) == 0:
        return True
    labels = without_repeats(labels)
    return bool((labels == labels.narrow(dim, 0, 1)).all())


def expanded(labels: Tensor) -> Tensor:
    """The same labels, expanded along every dimension in which they do not change."""
    shape = labels.shape
    for dim in range(labels.dim()):
        if labels.shape[dim] > 1 and constant_along(labels, dim):
            labels = labels.narrow(dim, 0, 1)
    return labels.expand(shape)


def narrowed(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Narrow the dimensions in which both of two tensors of one shape are expanded."""
    for dim in range(first.dim()):
        if first.shape[dim] > 1 and first.stride(dim) == 0 and second.stride(dim) == 0:
            first, second = first.narrow(dim, 0, 1), second.narrow(dim, 0, 1)
    return first, second
