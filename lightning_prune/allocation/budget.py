"""Spend a budget of weights exactly: turn shares into whole numbers, never above the number of living weights."""

from collections.abc import Mapping

from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import Scores


class Counts(dict[str, int]):
    """The number of weights that each tensor keeps.

    Args:
        counts: The number of weights to keep, by name.
        cut: The lowest score that is kept, if all tensors are cut at the same score. With it, the masks do not have to
            find this score again.
    """

    def __init__(self, counts: Mapping[str, int], cut: float | None = None) -> None:
        super().__init__(counts)
        self.cut = cut


def budget_of(scores: Scores, density: float) -> int:
    """Count the weights that a density keeps in all.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of all weights to keep, in (0, 1].

    Returns:
        ``round(density * scores.size)``, but at most the number of living weights.

    Raises:
        ValueError: If the density keeps no weight at all.
    """
    budget = min(round(density * scores.size), sum(scores.living.values()))
    if budget < 1:
        raise UserError(f"Density {density:.3g} keeps none of {scores.size} prunable weights: lower the sparsity.")
    return budget


def spend(proportions: Mapping[str, float], scores: Scores, density: float) -> Counts:
    """Divide the budget among the tensors in given proportions, at most the living weights of each, and exactly.

    Args:
        proportions: The densities of the tensors up to a common factor, each above 0.
        scores: The scores, which give the sizes and the numbers of living weights.
        density: The fraction of all weights together to keep, in (0, 1].

    Returns:
        The counts. Weights that rounding leaves over go to the largest remainders, and among equal remainders to the
        first tensors.

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
        ideal: The number of weights that each tensor should keep, not rounded, and at most the number that lives in
            the tensor. These numbers add up to about the budget.
        living: The number of living weights of each tensor.
        budget: The number of weights to keep in all, at most the number that lives.

    Returns:
        The counts. Weights that rounding down leaves over go to the largest remainders, and among equal remainders to
        the first tensors.

    Example:
        >>> in_whole_numbers({"a": 2.3, "b": 4.7}, living={"a": 9, "b": 9}, budget=7)
        {'a': 2, 'b': 5}
    """
    counts = {name: int(share) for name, share in ideal.items()}
    by_remainder = sorted(ideal, key=lambda name: counts[name] - ideal[name])
    missing = budget - sum(counts.values())
    while missing > 0:  # one pass is enough, unless tensors are full
        for name in by_remainder:
            if missing > 0 and counts[name] < living[name]:
                counts[name] += 1
                missing -= 1
    return Counts(counts)


def _fill(shares: Mapping[str, float], capacity: Mapping[str, int], budget: int) -> dict[str, float]:
    """Scale the shares to the budget. Cap each share at its capacity, and scale the other shares again."""
    full: set[str] = set()
    while True:
        rest = sum(share for name, share in shares.items() if name not in full)
        factor = (budget - sum(capacity[name] for name in full)) / rest if rest else 0.0
        over = {name for name in shares if name not in full and shares[name] * factor > capacity[name]}
        if not over:
            return {name: float(capacity[name]) if name in full else shares[name] * factor for name in shares}
        full |= over
