"""Compare weights with those of the same output only."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_prune.allocation import layerwise
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.selection.filter_layout import by_filter, undo_by_filter


def per_row(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the same fraction of every tensor, and of every row: the weights that go into one output of a layer.

    The rows of a tensor keep the same number of weights, up to one: where the number does not divide, the first rows
    keep one more. A row is a row of a linear layer, or a filter of a convolution. A row with fewer living weights keeps
    all of them, and the other rows the rest. With units larger than a weight it is ``per_group``.

    Reference: Sun, Liu, Bair & Kolter, A Simple and Effective Pruning Approach for Large Language Models, 2024,
    https://arxiv.org/abs/2306.11695 (Wanda).

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of each tensor to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> per_row(Scores.of({"a": torch.rand(10, 4), "b": torch.rand(100, 2)}), density=0.5)
        {'a': 20, 'b': 100}
    """
    return layerwise(scores, density)


per_row.compares_rows = True  # type: ignore[attr-defined]


def compares_rows(allocation: object) -> bool:
    """Whether an allocation, or the one inside of it, has weights compared within rows only.

    Args:
        allocation: The allocation.

    Example:
        >>> compares_rows(per_row), compares_rows(layerwise)
        (True, False)
    """
    inner = getattr(allocation, "allocation", None)
    return bool(getattr(allocation, "compares_rows", False)) or (inner is not None and compares_rows(inner))


def in_rows(scores: Scores) -> Scores:
    """Turn scores into ranks within rows: 0 for the highest score of each row, then -1, -2, ...

    So the weights with the highest ranks of a tensor are the best of each row, and equally many of each.

    Args:
        scores: The scores of all prunable weights.

    Example:
        >>> in_rows(Scores.of({"a": torch.tensor([[9.0, 8.0, 7.0], [1.0, DEAD, 3.0]])}))["a"]
        tensor([[ 0., -1., -2.],
                [-1., -inf,  0.]])
    """

    def ranks(name: str) -> Tensor:
        return _ranks(scores[name], scores.transposed.get(name, 0))

    return Scores(
        scores.shapes,
        scores.living,
        ranks,
        transposed=scores.transposed,
        kernels=scores.kernels,
        kinds=scores.kinds,
    )


def _ranks(score: Tensor, transposed: int) -> Tensor:
    if score.dim() < 2:
        return score  # all of it is one row
    rows = by_filter(score.detach(), transposed)
    order = rows.argsort(dim=1, descending=True, stable=True)
    places = 0 - torch.arange(rows.shape[1], device=score.device, dtype=torch.float32).expand(rows.shape)  # no -0.
    ranks = torch.empty(rows.shape, device=score.device).scatter_(1, order, places)
    return undo_by_filter(ranks, score.shape, transposed).masked_fill(score == DEAD, DEAD)
