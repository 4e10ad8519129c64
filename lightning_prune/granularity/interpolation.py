"""Interpolate between measured times, and combine what several groups do to one layer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

CONSTANT = 0.99  # the largest constant part of a layer
STEPS = 100


@dataclass(frozen=True)
class Curve:
    """Values between which is interpolated.

    Args:
        places: At least one place, in ascending order.
        values: The value at each place.

    Example:
        >>> curve = Curve((1, 4, 8), (0.5, 0.5, 1.0))
        >>> curve(0), curve(2), curve(6), curve(9)
        (0.5, 0.5, 0.75, 1.0)
    """

    places: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, place: float) -> float:
        """The value at a place. Beyond the ends it stays as it is at the end."""
        if place <= self.places[0]:
            return self.values[0]
        for low, high in pairwise(range(len(self.places))):
            if place <= self.places[high]:
                part = (place - self.places[low]) / (self.places[high] - self.places[low])
                return self.values[low] + part * (self.values[high] - self.values[low])
        return self.values[-1]


def combined(parts: Iterable[float], constant: float) -> float:
    """How much of a layer's time is left when several of its groups are narrowed.

    Args:
        parts: How much is left for each group alone, at least ``constant``.
        constant: The fraction that never shrinks, below 1.

    Example:
        >>> combined([0.5, 0.5], 0.0), combined([0.5, 0.5], 0.5), combined([0.6], 0.2), combined([], 0.2)
        (0.25, 0.5, 0.6, 1.0)
    """
    return constant + (1 - constant) * prod((one - constant) / (1 - constant) for one in parts)


def constant_part(alone: Sequence[Sequence[float]], joint: Sequence[float]) -> float:
    """Find the constant part of a layer with which :func:`combined` comes nearest to what was measured.

    Args:
        alone: For each group the values at several widths, in [0, 1].
        joint: The values where all groups are narrowed to these widths together.

    Returns:
        The fraction in [0, 1), at most the least of the values alone.

    Example:
        >>> constant_part([[0.25, 0.5], [0.25, 0.5]], [0.0625, 0.25])
        0.0
        >>> round(constant_part([[0.6, 0.8], [0.6, 0.8]], [0.4, 0.65]), 2)  # 0.2 + 0.8 * 0.5 * 0.5, ...
        0.2
    """
    most = min([*(min(values) for values in alone), CONSTANT])

    def error(constant: float) -> float:
        places = zip(zip(*alone, strict=True), joint, strict=True)
        return sum((combined(parts, constant) - value) ** 2 for parts, value in places)

    return min((most * step / STEPS for step in range(STEPS + 1)), key=error)


def rising(values: Sequence[float], most: float = 1.0) -> tuple[float, ...]:
    """Let measured values never fall, so that removing a unit never costs time. Noise makes them fall.

    Args:
        values: Values in the order of the width.
        most: The largest value that is allowed.

    Example:
        >>> rising([0.5, 0.4, 0.8, 1.2, 1.0])
        (0.4, 0.4, 0.8, 1.0, 1.0)
    """
    found: list[float] = []
    least = most
    for value in reversed(values):
        least = min(least, value)
        found.append(least)
    return tuple(reversed(found))
