"""Which scores are the highest: exact selection over many tensors, without a sort and without joining them.

A small sample brackets the cut; one pass counts what lies above the bracket and
collects what lies inside, where the cut is then found exactly. The sample
decides how fast this is, never what comes out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_prune.criteria.scores import DEAD, Scores

_SAMPLE = 2**16


@dataclass(frozen=True)
class Cut:
    """The lowest score that is kept.

    Args:
        value: The score.
        above: How many scores of each tensor are higher.
        tied: How many scores of each tensor equal it.
    """

    value: float
    above: Mapping[str, int]
    tied: Mapping[str, int]


@dataclass(frozen=True)
class _Bracketed:
    """One pass over the scores: counts from ``high`` on, and the values strictly between ``low`` and ``high``."""

    from_high: dict[str, int]
    inside: dict[str, Tensor]

    @property
    def total_from_high(self) -> int:
        return sum(self.from_high.values())

    @property
    def total_inside(self) -> int:
        return sum(values.numel() for values in self.inside.values())


def find_cut(scores: Scores, count: int) -> Cut:
    """Find the ``count``-th highest score of all tensors together.

    Args:
        scores: The scores; dead weights are minus infinity.
        count: Which, ``1 <= count <= sum(scores.living.values())``.

    Returns:
        Its value, with the number of higher and of equal scores in each tensor.

    Example:
        >>> cut = find_cut(Scores.of({"a": torch.tensor([9.0, 7.0]), "b": torch.tensor([7.0, 1.0])}), count=2)
        >>> cut.value, cut.above, cut.tied
        (7.0, {'a': 1, 'b': 0}, {'a': 1, 'b': 1})
    """
    low, high = _bracket(scores, count)
    while True:
        found = _between(scores, low, high)
        if count <= found.total_from_high:
            higher = _count(scores, torch.gt, high)
            if sum(higher.values()) < count:
                return Cut(high, higher, {name: found.from_high[name] - higher[name] for name in scores})
            low, high = high, float("inf")
        elif count <= found.total_from_high + found.total_inside:
            return _inside(found, count)
        else:
            above_low = {name: found.from_high[name] + found.inside[name].numel() for name in scores}
            from_low = _count(scores, torch.ge, low)
            if count <= sum(from_low.values()):
                return Cut(low, above_low, {name: from_low[name] - above_low[name] for name in scores})
            low, high = DEAD, low


def _bracket(scores: Scores, count: int) -> tuple[float, float]:
    """Two scores with the wanted one between them, almost surely."""
    stride = max(scores.size // _SAMPLE, 1)
    sample = torch.cat([scores.sample(name, stride) for name in scores]).sort(descending=True).values
    rank = count / scores.size * sample.numel()
    # Four standard deviations of the rank of a random sample of this size.
    margin = 0.0 if stride == 1 else 4 * (sample.numel() * (count / scores.size) * (1 - count / scores.size)) ** 0.5 + 1
    high, low = (min(max(round(rank + shift) - 1, 0), sample.numel() - 1) for shift in (-margin, margin))
    return float(sample[low]), float(sample[high])


def _between(scores: Scores, low: float, high: float) -> _Bracketed:
    from_high: dict[str, int] = {}
    inside: dict[str, Tensor] = {}
    for name in scores:
        looks = [_look(piece, low, high) for piece in scores.pieces(name)]
        from_high[name] = sum(reached for reached, _ in looks)
        inside[name] = torch.cat([values for _, values in looks])
    return _Bracketed(from_high, inside)


def _inside(found: _Bracketed, count: int) -> Cut:
    values = torch.cat(list(found.inside.values()))
    rank_from_below = values.numel() - (count - found.total_from_high) + 1
    cut = float(values.kthvalue(rank_from_below).values)
    above = {name: found.from_high[name] + int(torch.count_nonzero(x > cut)) for name, x in found.inside.items()}
    return Cut(cut, above, {name: int(torch.count_nonzero(x == cut)) for name, x in found.inside.items()})


def _count(scores: Scores, compare: Callable[[Tensor, float], Tensor], bound: float) -> dict[str, int]:
    return {
        name: sum(int(torch.count_nonzero(compare(piece, bound))) for piece in scores.pieces(name)) for name in scores
    }


def mark_above(scores: Tensor, cut: float, marks: Tensor) -> int:
    """Mark the scores above a cut.

    Args:
        scores: Flat scores.
        cut: The score that is just not marked.
        marks: A uint8 tensor of the scores' length, written: 1 above the cut, 0 elsewhere.

    Returns:
        How many are marked.
    """
    if _is_numpys(scores):
        np.greater(scores.numpy(), cut, out=marks.numpy().view(np.bool_))  # both are one byte
        return int(np.count_nonzero(marks.numpy().view(np.bool_)))
    torch.gt(scores, cut, out=marks.view(torch.bool))
    return int(torch.count_nonzero(marks))


def _look(piece: Tensor, low: float, high: float) -> tuple[int, Tensor]:
    """How many scores are at least ``high``, and those strictly between."""
    if _is_numpys(piece):
        values = piece.numpy()
        reached = values >= high
        return int(np.count_nonzero(reached)), torch.from_numpy(values[np.flatnonzero((values > low) ^ reached)])
    at_least = piece >= high
    return int(torch.count_nonzero(at_least)), piece[(piece > low) ^ at_least]


def _is_numpys(scores: Tensor) -> bool:
    """Whether numpy can look at the scores: on one core it compares, counts and picks twice as fast as torch on two."""
    return scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
