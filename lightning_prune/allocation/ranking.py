"""Select the highest scores of many tensors exactly, without sorting the scores or joining the tensors.

A small sample brackets the cut. One pass counts the scores above the bracket
and collects the scores inside the bracket. Among these, the cut is found
exactly. The sample affects only the speed, never the result.
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
        value: The lowest score that is kept.
        above: The number of higher scores in each tensor.
        tied: The number of equal scores in each tensor.
    """

    value: float
    above: Mapping[str, int]
    tied: Mapping[str, int]


@dataclass(frozen=True)
class _Bracketed:
    """The result of one pass: counts of scores of at least ``high``, and the scores between ``low`` and ``high``."""

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
        scores: The scores. Dead weights score minus infinity.
        count: The rank of the score, ``1 <= count <= sum(scores.living.values())``.

    Returns:
        The score, with the number of higher and of equal scores in each tensor.

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
    """Two scores that almost surely have the wanted score between them."""
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
        cut: The cut. Scores equal to it are not marked.
        marks: A uint8 tensor of the scores' length. It is overwritten with 1 above the cut and 0 elsewhere.

    Returns:
        The number of marked scores.
    """
    if _is_numpys(scores):
        np.greater(scores.numpy(), cut, out=marks.numpy().view(np.bool_))  # both are one byte
        return int(np.count_nonzero(marks.numpy().view(np.bool_)))
    torch.gt(scores, cut, out=marks.view(torch.bool))
    return int(torch.count_nonzero(marks))


def _look(piece: Tensor, low: float, high: float) -> tuple[int, Tensor]:
    """The number of scores of at least ``high``, and the scores strictly between ``low`` and ``high``."""
    if _is_numpys(piece):
        values = piece.numpy()
        reached = values >= high
        return int(np.count_nonzero(reached)), torch.from_numpy(values[np.flatnonzero((values > low) ^ reached)])
    at_least = piece >= high
    return int(torch.count_nonzero(at_least)), piece[(piece > low) ^ at_least]


def _is_numpys(scores: Tensor) -> bool:
    """Whether numpy can read the scores. On one core numpy compares, counts and picks twice as fast as torch on two."""
    return scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
