"""How many each tensor keeps: pure functions from scores and a density to counts.

Every allocation has the same signature and spends exactly ``round(density *
scores.size)`` weights, on living ones only. Allocations differ in nothing but
how many; which ones is decided once, in ``masks``. To add one, write the
function.
"""

from collections.abc import Callable, Mapping

from lightning_prune.ranking import find_cut
from lightning_prune.scores import Scores


class Counts(dict[str, int]):
    """How many weights each tensor keeps.

    Args:
        counts: The number of living weights, by name.
        cut: Where all tensors are cut at the same score, that score: it saves finding it again.
    """

    def __init__(self, counts: Mapping[str, int], cut: float | None = None) -> None:
        super().__init__(counts)
        self.cut = cut


Allocation = Callable[[Scores, float], Mapping[str, int]]


def globally(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the highest scores wherever they are; ties go to the first tensors.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019, https://arxiv.org/abs/1803.03635.

    Args:
        scores: The scores of all prunable weights.
        density: What to keep of them, in (0, 1].

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
        density: What to keep of each tensor, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> layerwise(Scores.of({"a": torch.rand(10), "b": torch.rand(100)}), density=0.5)
        {'a': 5, 'b': 50}
    """
    return spend(dict.fromkeys(scores, density), scores, density)


def erk(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep more of small tensors: density in proportion to the sum of the dimensions over their product.

    The Erdos-Renyi kernel. A tensor that would exceed dense stays dense, and the others take the rest in the same
    proportions.

    Reference: Evci et al., Rigging the Lottery, 2020, https://arxiv.org/abs/1911.11134, after Mocanu et al., 2018,
    https://arxiv.org/abs/1707.04780.

    Args:
        scores: The scores of all prunable weights.
        density: What to keep of all weights together, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> erk(Scores.of({"wide": torch.rand(100, 100), "narrow": torch.rand(10, 100)}), density=0.2)
        {'wide': 1419, 'narrow': 781}
    """
    return spend({name: sum(shape) / shape.numel() for name, shape in scores.shapes.items()}, scores, density)


def budget_of(scores: Scores, density: float) -> int:
    """How many weights a density keeps in all.

    Args:
        scores: The scores of all prunable weights.
        density: What to keep of them, in (0, 1].

    Returns:
        ``round(density * scores.size)``, and never more than live.

    Raises:
        ValueError: If that is none.
    """
    budget = min(round(density * scores.size), sum(scores.living.values()))
    if budget < 1:
        raise ValueError(f"Density {density:.3g} keeps none of {scores.size} prunable weights: lower the sparsity.")
    return budget


def spend(proportions: Mapping[str, float], scores: Scores, density: float) -> Counts:
    """Give every tensor a density in proportion, at most what lives in it, and spend the budget exactly.

    Args:
        proportions: The densities of the tensors up to a common factor, each above 0.
        scores: The scores, for the sizes and the number of living weights.
        density: What to keep of all weights together, in (0, 1].

    Returns:
        The counts; what rounding leaves goes to the largest remainders, ties to the first tensors.

    Raises:
        ValueError: If the density keeps no weight at all.

    Example:
        >>> import torch
        >>> spend({"a": 1.0, "b": 0.1}, Scores.of({"a": torch.rand(10), "b": torch.rand(100)}), density=0.5)
        {'a': 10, 'b': 45}
    """
    budget = budget_of(scores, density)
    ideal = _fill(
        {name: proportions[name] * shape.numel() for name, shape in scores.shapes.items()}, scores.living, budget
    )
    counts = {name: int(share) for name, share in ideal.items()}
    by_remainder = sorted(scores, key=lambda name: counts[name] - ideal[name])
    missing = budget - sum(counts.values())
    while missing > 0:  # once round, unless tensors are full
        for name in by_remainder:
            if missing > 0 and counts[name] < scores.living[name]:
                counts[name] += 1
                missing -= 1
    return Counts(counts)


def _fill(shares: Mapping[str, float], capacity: Mapping[str, int], budget: int) -> dict[str, float]:
    """Scale the shares to the budget; what exceeds its capacity is capped, and the rest rescaled."""
    full: set[str] = set()
    while True:
        rest = sum(share for name, share in shares.items() if name not in full)
        factor = (budget - sum(capacity[name] for name in full)) / rest if rest else 0.0
        over = {name for name in shares if name not in full and shares[name] * factor > capacity[name]}
        if not over:
            return {name: float(capacity[name]) if name in full else shares[name] * factor for name in shares}
        full |= over
