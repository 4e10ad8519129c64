"""Choose the peak learning rate of a cycle from the amount that was pruned."""

import math


def s_shape(density: float, growth_density: float, low: float, rise: float, beta: float) -> float:
    """The S-shaped peak rate, which grows from ``low`` at ``growth_density`` to ``low + rise`` at density 0.

    The peak is ``low + rise * S`` with ``S = sigmoid(beta * logit(gamma))`` and ``gamma = 1 - density /
    growth_density``. Half of the growth is done at half of ``growth_density``.

    Reference: Liu et al., Optimizing Learning Rate Schedules for Iterative Pruning of Deep Neural Networks (SILO),
    2023, https://arxiv.org/abs/2212.06144. The paper has ``gamma = 1 - (1 - p) ** (m - q)``. Both forms agree for a
    network that loses the fraction ``p`` at every cycle. Our form holds for any sparsity schedule.

    Args:
        density: The living fraction of the prunable weights, in [0, 1].
        growth_density: The density at which the peak begins to grow, in (0, 1].
        low: The peak before it grows.
        rise: The total growth of the peak. A negative value makes the peak fall.
        beta: The steepness of the growth, above 0.

    Returns:
        The peak rate.

    Example:
        >>> [round(s_shape(0.8**m, 0.8, low=0.03, rise=0.04, beta=5), 5) for m in (1, 2, 3, 4, 5, 24)]
        [0.03, 0.03004, 0.03213, 0.04761, 0.06446, 0.07]
    """
    kept = min(density / growth_density, 1.0)
    grown = (1 - kept) ** beta
    return float(low + rise * grown / (grown + kept**beta))


def pruning_aware(density: float, base: float, turn: float, beta: float, drop: float) -> float:
    """ICE's rate, which falls once from ``base`` to ``base - drop`` around the sparsity ``turn``.

    The rate is ``base - drop / (1 + (x / (2 * (1 - turn) - x)) ** beta)`` at density ``x``. The expression is not
    defined for ``x`` at and above ``2 * (1 - turn)``. There the rate is ``base``.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural
    Networks, 2025, https://arxiv.org/abs/2505.07411, as in the authors' code.

    Args:
        density: The living fraction of the weights, in [0, 1].
        base: The rate of a dense network.
        turn: The sparsity at which half of the fall is done, in (0, 1).
        beta: The steepness of the fall, above 0.
        drop: The total fall of the rate, in [0, base].

    Returns:
        The rate.

    Example:
        >>> [round(pruning_aware(x, 0.001, turn=0.12, beta=50, drop=0.00075), 6) for x in (1, 0.9, 0.88, 0.86, 0.5)]
        [0.001, 0.00093, 0.000625, 0.00032, 0.00025]
    """
    return s_shape(density, 2 * (1 - turn), base, -drop, beta)


def restart_peak(norm_drop: float, pruned: float, budget: float) -> float:
    """ALLR's peak as a fraction of the largest rate. It grows with the damage of the prune and the cycle's length.

    The fraction is ``min(max(norm_drop / sqrt(pruned), budget), 1)``. If the smallest weights die, the ratio is at most
    1, because these weights carry at most their share of the squared norm.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843, as in the authors' code.

    Args:
        norm_drop: The norm of the weights that the prune removed, divided by the norm before the prune, in [0, 1].
        pruned: The fraction of the living weights that the prune removed, in [0, 1]. With 0, ``budget`` decides.
        budget: The length of the cycle divided by the length of the dense run, above 0.

    Returns:
        The fraction, in (0, 1].

    Example:
        >>> restart_peak(0.1, pruned=0.25, budget=0.05), restart_peak(0.1, 0.25, budget=0.5), restart_peak(0.0, 0.0, 2)
        (0.2, 0.5, 1.0)
    """
    hurt = norm_drop / math.sqrt(pruned) if pruned > 0 else 0.0
    return float(min(max(hurt, budget), 1.0))
