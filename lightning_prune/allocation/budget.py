"""How a budget is spent: from shares to whole numbers of weights, exactly, and never more than live."""

from collections.abc import Mapping

from lightning_prune.criteria.scores import Scores


class Counts(dict[str, int]):
    """How many weights each tensor keeps.

    Args:
        counts: The number of living weights, by name.
        cut: Where all tensors are cut at the same score, that score: it saves finding it again.
    """

    def __init__(self, counts: Mapping[str, int], cut: float | None = None) -> None:
        super().__init__(counts)
        self.cut = cut


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
    shares = {name: proportions[name] * shape.numel() for name, shape in scores.shapes.items()}
    budget = budget_of(scores, density)
    return in_whole_numbers(_fill(shares, scores.living, budget), scores.living, budget)


def in_whole_numbers(ideal: Mapping[str, float], living: Mapping[str, int], budget: int) -> Counts:
    """Round ideal counts so that they add up to the budget.

    Args:
        ideal: How many weights each tensor should keep, at most what lives in it; they add up to about the budget.
        living: How many weights of each tensor live.
        budget: How many weights to keep in all, at most what lives.

    Returns:
        The counts; what rounding down leaves goes to the largest remainders, ties to the first tensors.

    Example:
        >>> in_whole_numbers({"a": 2.3, "b": 4.7}, living={"a": 9, "b": 9}, budget=7)
        {'a': 2, 'b': 5}
    """
    counts = {name: int(share) for name, share in ideal.items()}
    by_remainder = sorted(ideal, key=lambda name: counts[name] - ideal[name])
    missing = budget - sum(counts.values())
    while missing > 0:  # once round, unless tensors are full
        for name in by_remainder:
            if missing > 0 and counts[name] < living[name]:
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
