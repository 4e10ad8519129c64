"""How high the rates of a cycle go, for how much was pruned."""

import math


def s_shape(density: float, growth_density: float, low: float, rise: float, beta: float) -> float:
    """The S-shaped peak rate: from ``low`` at ``growth_density`` to ``low + rise`` where nothing is left.

    ``low + rise * S`` with ``S = sigmoid(beta * logit(gamma))`` and ``gamma = 1 - density / growth_density``: half
    way up where half of ``growth_density`` is left.

    Reference: Liu et al., Optimizing Learning Rate Schedules for Iterative Pruning of Deep Neural Networks (SILO),
    2023, https://arxiv.org/abs/2212.06144. There the argument is ``gamma = 1 - (1 - p) ** (m - q)``, which is the same
    for a network that loses the fraction ``p`` at every cycle; this form holds for any sparsity schedule.

    Args:
        density: What is left of the prunable weights, in [0, 1].
        growth_density: The density at which the peak begins to grow, in (0, 1].
        low: The peak before it grows.
        rise: How much it grows in all; negative for a falling one.
        beta: How steeply, above 0.

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
    """ICE's rate, which falls once from ``base`` to ``base - drop`` when about ``turn`` of the weights are gone.

    ``base - drop / (1 + (x / (2 * (1 - turn) - x)) ** beta)`` for a density ``x``; ``base`` where the expression has
    no value, for ``x`` at and above ``2 * (1 - turn)``.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural
    Networks, 2025, https://arxiv.org/abs/2505.07411, as in the authors' code.

    Args:
        density: What is left of the weights, in [0, 1].
        base: The rate of a dense network.
        turn: The sparsity at which half of the fall is done, in (0, 1).
        beta: How steeply it falls, above 0.
        drop: How much it falls in all, in [0, base].

    Returns:
        The rate.

    Example:
        >>> [round(pruning_aware(x, 0.001, turn=0.12, beta=50, drop=0.00075), 6) for x in (1, 0.9, 0.88, 0.86, 0.5)]
        [0.001, 0.00093, 0.000625, 0.00032, 0.00025]
    """
    return s_shape(density, 2 * (1 - turn), base, -drop, beta)


def restart_peak(norm_drop: float, pruned: float, budget: float) -> float:
    """ALLR's peak as a fraction of the largest rate: as high as the prune has hurt, or the cycle is long.

    ``min(max(norm_drop / sqrt(pruned), budget), 1)``. The ratio is at most 1 where the smallest weights die, since
    they carry at most their share of the squared norm.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843, as in the authors' code.

    Args:
        norm_drop: The norm of what the prune removed over the norm before it, in [0, 1].
        pruned: The fraction of the living weights that the prune removed, in [0, 1]; with 0, ``budget`` decides.
        budget: The length of the cycle over that of the dense run, above 0.

    Returns:
        The fraction, in (0, 1].

    Example:
        >>> restart_peak(0.1, pruned=0.25, budget=0.05), restart_peak(0.1, 0.25, budget=0.5), restart_peak(0.0, 0.0, 2)
        (0.2, 0.5, 1.0)
    """
    hurt = norm_drop / math.sqrt(pruned) if pruned > 0 else 0.0
    return float(min(max(hurt, budget), 1.0))
