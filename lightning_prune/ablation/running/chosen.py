"""Choose among the values that a search has tried: the best by validation, or the cheapest that is nearly as good."""

from collections.abc import Sequence


def chosen_of(
    scores: Sequence[float | None], lower: bool, epochs: Sequence[int | None] = (), tolerance: float | None = None
) -> int:
    """Choose a candidate.

    Args:
        scores: The validation metric of each candidate. None or NaN: it failed, and is not chosen.
        lower: Whether small values of the metric are good.
        epochs: The trained epochs of each candidate. Read with a tolerance only.
        tolerance: How much of the best score may be given up for fewer epochs, at least 0, in the units of the metric.
            None: nothing.

    Returns:
        The index of the candidate with the best score. With a tolerance: with the fewest epochs among those that are
        no further from the best score. Of equal epochs the better score counts, and of equal scores the first.

    Example:
        >>> scores, epochs = [0.95, 0.97, 0.966], [2, 9, 4]
        >>> chosen_of(scores, False), chosen_of(scores, False, epochs, 0.005), chosen_of(scores, False, epochs, 0.1)
        (1, 2, 0)
    """
    ranks = [rank_of(score, lower) for score in scores]
    best = max(ranks)
    if tolerance is None or best == float("-inf"):
        return ranks.index(best)
    # The small part forgives the rounding of the difference: 0.97 - 0.965 is more than 0.005.
    near = [index for index, rank in enumerate(ranks) if best - rank <= tolerance * (1 + 1e-9) + 1e-12]
    return min(near, key=lambda index: (epochs[index] or 0, -ranks[index]))


def rank_of(score: float | None, lower: bool) -> float:
    """A number that is larger the better a score is. Minus infinity for a candidate without a score.

    Args:
        score: The validation metric. None or NaN: there is none.
        lower: Whether small values of the metric are good.

    Example:
        >>> rank_of(0.3, lower=True), rank_of(float("nan"), lower=False)
        (-0.3, -inf)
    """
    return float("-inf") if score is None or score != score else -score if lower else score
