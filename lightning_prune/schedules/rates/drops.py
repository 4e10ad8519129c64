"""Learning rates that rise once and then fall in steps."""

from collections.abc import Sequence

from lightning_prune.schedules.rates.curves import cosine, in_steps, whole


def warmup_steps(step: int, steps: int, peak: float, warmup: float, drops: Sequence[float]) -> float:
    """Rise linearly from 0 to ``peak``, then divide by 10 at each drop.

    The rise adds the same amount at every step and stops at the peak. A drop ends the rise, even below the peak.

    Reference: the inner schedule of Liu et al., Optimizing Learning Rate Schedules for Iterative Pruning of Deep
    Neural Networks (SILO), 2023, https://arxiv.org/abs/2212.06144, as in the authors' code.

    Args:
        step: The step of the cycle, at least 0.
        steps: The number of steps of the cycle, at least 1.
        peak: The value at the end of the rise.
        warmup: The length of the rise. A float in (0, 1] is a fraction of the cycle. A number above 1 or a whole number
            counts optimizer steps.
        drops: The points at which the rate drops, each in the same units.

    Returns:
        The value at ``step``.

    Example:
        >>> [round(warmup_steps(step, 10, peak=1.0, warmup=4, drops=(0.5, 0.8)), 3) for step in (0, 3, 4, 5, 8, 9)]
        [0.25, 1.0, 1.0, 0.1, 0.01, 0.01]
    """
    rise = in_steps(warmup, steps)
    dropped = sum(step >= in_steps(drop, steps) for drop in drops)
    reached = peak if dropped or not rise else peak * min((step + 1) / rise, 1.0)
    return float(reached / 10**dropped)


def warmup_drops(
    step: int, steps: int, start: float, peak: float, warmup: float, drops: Sequence[float], factor: float
) -> float:
    """Rise from ``start`` to ``peak`` along half a cosine, then multiply by ``factor`` at each drop.

    The rise takes ``w = floor(warmup * steps)`` steps. A drop at the fraction ``d`` of the remaining steps comes
    ``floor(d * (1 - warmup) * steps)`` steps after the rise.

    Reference: SLR of Le & Hua, Network Pruning That Matters: A Case Study on Retraining Variants, 2021,
    https://arxiv.org/abs/2105.03193, as in the authors' code.

    Args:
        step: The step of the cycle, at least 0.
        steps: The number of steps of the cycle, at least 1.
        start: The first value. A warm-up shorter than one step is left out.
        peak: The value at the end of the rise.
        warmup: The fraction of the steps in which the rate rises, in [0, 1].
        drops: The points at which the rate drops, as fractions of the steps after the rise, in [0, 1].
        factor: The factor by which each drop multiplies the rate, above 0.

    Returns:
        The value at ``step``.

    Example:
        >>> [round(warmup_drops(e, 40, 0.001, 0.1, 0.1, (0.5, 0.75), 0.1), 6) for e in (0, 1, 3, 4, 21, 22, 31, 39)]
        [0.001, 0.015498, 0.085502, 0.1, 0.1, 0.01, 0.001, 0.001]
    """
    step, rise = min(step, steps - 1), whole(warmup, steps)
    if step < rise:
        return cosine(start, peak, step / rise)
    dropped = sum(step - rise >= whole(drop * (1 - warmup), steps) for drop in drops)
    return float(peak * factor**dropped)
