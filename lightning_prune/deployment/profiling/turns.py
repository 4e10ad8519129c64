"""Measure how long calls take, in turn, so that whatever else the machine does slows all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Clock = Callable[[], float]


@dataclass(frozen=True)
class Times:
    """How long a call took, in seconds.

    Args:
        minimum: The shortest time.
        median: The median of all times.
    """

    minimum: float
    median: float


def in_turn(
    calls: Sequence[Callable[[], object]], rounds: int, warm_up: int = 3, clock: Clock = time.perf_counter
) -> list[Times]:
    """Measure calls in alternating rounds: each round runs every call once.

    Args:
        calls: The calls.
        rounds: The number of rounds that are measured, at least 1.
        warm_up: The number of rounds before them, which are not measured.
        clock: Tells the time in seconds.

    Returns:
        The times of each call.

    Example:
        >>> ticks = iter([0.0, 1.0, 1.0, 5.0, 5.0, 8.0, 8.0, 12.0])
        >>> in_turn([list, dict], rounds=2, warm_up=0, clock=ticks.__next__)
        [Times(minimum=1.0, median=2.0), Times(minimum=4.0, median=4.0)]
    """
    for _ in range(warm_up):
        for call in calls:
            call()
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, found, strict=True):
            start = clock()
            call()
            times.append(clock() - start)
    return [Times(min(times), median(times)) for times in found]
