"""Learning rates that rise and fall along curves."""

import math
from collections.abc import Callable

from lightning_prune.schedules.rates.curves import cosine, linear, whole

Curve = Callable[[float, float, float], float]  # start, end, progress


def one_cycle(step: int, steps: int, start: float, peak: float, end: float, warmup: float) -> float:
    """Rise from ``start`` to ``peak`` and fall to ``end``, both along half a cosine.

    The values are those of ``torch.optim.lr_scheduler.OneCycleLR`` with two phases, which follows Smith & Topin,
    Super-Convergence, 2019, https://arxiv.org/abs/1708.07120. A warm-up shorter than one step is left out.

    Args:
        step: The step of the cycle, at least 0.
        steps: The number of steps of the cycle, at least 1.
        start: The first value.
        peak: The value at the end of the warm-up.
        end: The value of the last step.
        warmup: The fraction of the steps in which the rate rises, in [0, 1].

    Returns:
        The value at ``step``.

    Example:
        >>> [round(one_cycle(step, 10, start=0.04, peak=1.0, end=0.0, warmup=0.3), 3) for step in (0, 1, 2, 9)]
        [0.04, 0.52, 1.0, 0.0]
    """
    last = max(steps - 1, 1)
    top = min(max(warmup * steps - 1, 0.0), last)
    step = min(step, last)
    if step <= top and top > 0:
        return cosine(start, peak, step / top)
    return cosine(peak, end, (step - top) / (last - top))


def warmup_anneal(
    step: int, steps: int, start: float, peak: float, end: float, warmup: float, anneal: Curve = linear
) -> float:
    """Rise from ``start`` to ``peak`` along half a cosine, then go towards ``end``.

    The rate would reach ``end`` one step after the last step. The rise takes ``w = floor(warmup * steps)`` steps, and
    the last step has the value ``anneal(peak, end, 1 - 1 / (steps - w))``.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843, as in the authors' code.

    Args:
        step: The step of the cycle, at least 0.
        steps: The number of steps of the cycle, at least 1.
        start: The first value. A warm-up shorter than one step is left out.
        peak: The value at the end of the rise.
        end: The value at the point where the next cycle begins.
        warmup: The fraction of the steps in which the rate rises, in [0, 1].
        anneal: The curve after the rise, :func:`linear` or :func:`cosine`, called as ``anneal(start, end, progress)``.

    Returns:
        The value at ``step``.

    Example:
        >>> [round(warmup_anneal(step, 20, 0.0, 1.0, 0.0, warmup=0.1), 4) for step in (0, 1, 2, 11, 19)]
        [0.0, 0.5, 1.0, 0.5, 0.0556]
    """
    step, rise = min(step, steps - 1), whole(warmup, steps)
    if step < rise:
        return cosine(start, peak, step / rise)
    return anneal(peak, end, (step - rise) / (steps - rise))


def triangular(step: int, steps: int, bottom: float, peak: float, half_period: float) -> float:
    """Go from ``bottom`` to ``peak`` and back in straight lines, again and again.

    The rate is ``bottom + (peak - bottom) * max(0, 1 - |x|)`` with
    ``x = step / h - 2 * floor(1 + step / (2 * h)) + 1``.

    Reference: Smith, Cyclical Learning Rates for Training Neural Networks, 2017, https://arxiv.org/abs/1506.01186.

    Args:
        step: The step of the cycle, at least 0.
        steps: The number of steps of the cycle, at least 1.
        bottom: The first value, and the value at every second turning point.
        peak: The value at the other turning points.
        half_period: The length ``h`` of one line. A float up to 1 is a fraction of the cycle. Other numbers count
            optimizer steps. A line takes at least one step.

    Returns:
        The value at ``step``.

    Example:
        >>> [triangular(step, 8, bottom=0.0, peak=1.0, half_period=0.25) for step in range(8)]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 0.5]
    """
    is_fraction = isinstance(half_period, float) and half_period <= 1
    half = max(half_period * steps if is_fraction else float(half_period), 1.0)
    step = min(step, steps - 1)
    x = step / half - 2 * math.floor(1 + step / (2 * half)) + 1
    return bottom + (peak - bottom) * max(0.0, 1 - abs(x))
