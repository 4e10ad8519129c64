"""How fast: pure functions from a step of a cycle to a learning rate.

``step`` counts from 0 to ``steps - 1``, in optimizer steps of the cycle; a step
past the end keeps the last value.
"""

import math
from collections.abc import Sequence


def cosine(start: float, end: float, progress: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine.

    Args:
        start: The value at progress 0.
        end: The value at progress 1.
        progress: How far, in [0, 1].

    Returns:
        The value.

    Example:
        >>> [round(cosine(1.0, 0.0, progress), 3) for progress in (0, 0.25, 0.5, 1)]
        [1.0, 0.854, 0.5, 0.0]
    """
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


def one_cycle(step: int, steps: int, start: float, peak: float, end: float, warmup: float) -> float:
    """Rise from ``start`` to ``peak`` and fall to ``end``, both along half a cosine.

    The same values as ``torch.optim.lr_scheduler.OneCycleLR`` with two phases, which follows Smith & Topin,
    Super-Convergence, 2019, https://arxiv.org/abs/1708.07120. A warm-up shorter than one step is left out.

    Args:
        step: The step of the cycle, at least 0.
        steps: How many steps the cycle has, at least 1.
        start: The first value.
        peak: The value at the end of the warm-up.
        end: The value of the last step.
        warmup: The fraction of the steps that rise, in [0, 1].

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


def warmup_steps(step: int, steps: int, peak: float, warmup: float, drops: Sequence[float]) -> float:
    """Rise linearly from 0 to ``peak``, then divide by 10 at each drop.

    The rise adds the same amount at every step and stops at the peak; a drop ends it, reached or not.

    Reference: the inner schedule of Liu et al., Optimizing Learning Rate Schedules for Iterative Pruning of Deep
    Neural Networks (SILO), 2023, https://arxiv.org/abs/2212.06144, as in the authors' code.

    Args:
        step: The step of the cycle, at least 0.
        steps: How many steps the cycle has, at least 1.
        peak: The value at the end of the rise.
        warmup: The length of the rise: in (0, 1] a fraction of the cycle, above 1 or a whole number optimizer steps.
        drops: Where it drops, each in the same units.

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


def in_steps(length: float, steps: int) -> int:
    """Read a length within a cycle: a float up to 1 is a fraction of the cycle, anything else optimizer steps.

    Args:
        length: At least 0.
        steps: How many steps the cycle has.

    Returns:
        The length in steps, at most ``steps``.

    Example:
        >>> in_steps(0.25, 200), in_steps(50, 200), in_steps(1, 200), in_steps(1.0, 200), in_steps(20_000, 200)
        (50, 50, 1, 200, 200)
    """
    is_fraction = isinstance(length, float) and length <= 1
    return min(round(length * steps) if is_fraction else int(length), steps)


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
