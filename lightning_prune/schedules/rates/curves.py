"""Interpolate between two learning rates, and read lengths within a cycle."""

import math


def cosine(start: float, end: float, progress: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine.

    Args:
        start: The value at progress 0.
        end: The value at progress 1.
        progress: The progress, in [0, 1].

    Returns:
        The value at this progress.

    Example:
        >>> [round(cosine(1.0, 0.0, progress), 3) for progress in (0, 0.25, 0.5, 1)]
        [1.0, 0.854, 0.5, 0.0]
    """
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


def linear(start: float, end: float, progress: float) -> float:
    """Go from ``start`` to ``end`` along a straight line.

    Args:
        start: The value at progress 0.
        end: The value at progress 1.
        progress: The progress, in [0, 1].

    Returns:
        The value at this progress.

    Example:
        >>> [linear(1.0, 0.0, progress) for progress in (0, 0.25, 0.5, 1)]
        [1.0, 0.75, 0.5, 0.0]
    """
    return end + (start - end) * (1 - progress)


def in_steps(length: float, steps: int) -> int:
    """Convert a length within a cycle to steps: a float up to 1 is a fraction of the cycle, other numbers are steps.

    Args:
        length: The length, at least 0.
        steps: The number of steps of the cycle.

    Returns:
        The length in steps, at most ``steps``.

    Example:
        >>> in_steps(0.25, 200), in_steps(50, 200), in_steps(1, 200), in_steps(1.0, 200), in_steps(20_000, 200)
        (50, 50, 1, 200, 200)
    """
    is_fraction = isinstance(length, float) and length <= 1
    return min(round(length * steps) if is_fraction else int(length), steps)


def whole(fraction: float, steps: int) -> int:
    """Count the whole steps in a fraction of all steps, rounded down. Floating-point errors do not lose a step.

    Args:
        fraction: The fraction, in [0, 1].
        steps: The number of all steps, at least 0.

    Returns:
        The number of steps, from 0 to ``steps``.

    Example:
        >>> whole(0.1, 72), whole(0.75 * 0.9, 40), int(0.29 * 100), whole(0.29, 100)
        (7, 27, 28, 29)
    """
    return math.floor(round(fraction * steps, 6))
