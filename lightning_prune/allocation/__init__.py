"""Allocations: pure functions from scores and a density to the number of weights that each tensor keeps.

Every allocation has the same signature. Its counts add up to exactly
``round(density * scores.size)``, and no tensor keeps more weights than live in
it. An allocation decides only how many weights a tensor keeps. ``masks``
decides which ones. To add an allocation, write a function with type hints,
which YAML configs are checked against, here or in a file of its own. An
allocation with parameters is a frozen dataclass, see ``rule``.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lightning_prune.allocation.budget import Counts as Counts
from lightning_prune.allocation.budget import budget_of as budget_of
from lightning_prune.allocation.budget import spend as spend
from lightning_prune.allocation.ranking import find_cut
from lightning_prune.criteria.scores import DEAD, Scores

Allocation = Callable[[Scores, float], Mapping[str, int]]


def globally(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the highest scores of all tensors together. Among equal scores, the first tensors keep theirs.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019, https://arxiv.org/abs/1803.03635.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of all weights to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> globally(Scores.of({"a": torch.tensor([9.0, 8.0, 1.0]), "b": torch.tensor([2.0])}), density=0.5)
        {'a': 2, 'b': 0}
    """
    budget = budget_of(scores, density)
    cut = find_cut(scores, budget)
    missing = budget - sum(cut.above.values())
    counts = {}
    for name in scores:
        ties = min(cut.tied[name], missing)
        counts[name] = cut.above[name] + ties
        missing -= ties
    return Counts(counts, cut.value)


def layerwise(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the same fraction of every tensor.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of each tensor to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> layerwise(Scores.of({"a": torch.rand(10), "b": torch.rand(100)}), density=0.5)
        {'a': 5, 'b': 50}
    """
    return spend(dict.fromkeys(scores, density), scores, density)


def erk(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep more of small tensors: the density is proportional to the sum of the dimensions over their product.

    This is the Erdos-Renyi kernel. A tensor whose density would exceed 1 stays dense. The other tensors share the rest
    in the same proportions.

    Reference: Evci et al., Rigging the Lottery, 2020, https://arxiv.org/abs/1911.11134, after Mocanu et al., 2018,
    https://arxiv.org/abs/1707.04780.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of all weights together to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> erk(Scores.of({"wide": torch.rand(100, 100), "narrow": torch.rand(10, 100)}), density=0.2)
        {'wide': 1419, 'narrow': 781}
    """
    return spend({name: sum(shape) / shape.numel() for name, shape in scores.kernels.items()}, scores, density)


def lamp(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the highest layer-adaptive scores (LAMP), which are relative to the other high scores of their tensor.

    Sort the scores ``s`` of a tensor in falling order. The score of rank ``r`` becomes
    ``s[r] ** 2 / sum(s[i] ** 2 for i <= r)``. This value does not depend on the scale of the tensor, and the highest
    score of each tensor becomes 1. So no tensor is emptied while at least as many weights are kept as there are
    tensors. Scores below 0 become 0. They do not occur with the paper's ``|w|``. The sorted scores are held in memory,
    8 bytes each.

    Reference: Lee, Park, Mo, Ahn & Shin, Layer-adaptive Sparsity for the Magnitude-based Pruning, 2021,
    https://arxiv.org/abs/2010.07611.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of all weights to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> large, small = torch.tensor([90.0, 80.0, 70.0]), torch.tensor([3.0, 0.1])
        >>> lamp(Scores.of({"large": large, "small": small}), density=0.8)
        {'large': 3, 'small': 1}
        >>> lamp(Scores.of({"large": large, "small": small}), density=0.4)
        {'large': 1, 'small': 1}
    """
    relative = Scores.of({name: _relative(scores[name]) for name in scores})
    return dict(globally(relative, density))  # drop the cut, which belongs to the relative scores


def _relative(score: Tensor) -> Tensor:
    """Each squared score over the sum of the squares that are at least as high, in falling order, dead weights last."""
    # We compute this on the CPU. A GPU adds in another order at every call, but all processes need the same result.
    ordered = score.detach().flatten().to("cpu", torch.float64).sort(descending=True).values
    squares = (ordered.clamp(min=0) / ordered[:1].clamp(min=torch.finfo(torch.float64).tiny)).square()
    relative = (squares / squares.cumsum(0)).nan_to_num(0.0)
    relative[:1] = 1.0
    return relative.masked_fill(ordered == DEAD, DEAD)
