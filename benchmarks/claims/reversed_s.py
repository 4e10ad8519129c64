"""Reverse SILO's S: the control that tells a growing peak from any peak that moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.peaked import Peak, PeakedRate, SPeak
from lightning_prune.callbacks.policies.steps import Drops


@dataclass(frozen=True)
class FallingPeak(Peak):
    """A peak that falls from ``high`` to ``high - fall`` where that of SILO grows."""

    high: float
    fall: float
    beta: float
    delay: int

    @property
    def rising(self) -> SPeak:
        """The peak of SILO between the same rates."""
        return SPeak(self.high - self.fall, self.fall, self.beta, self.delay)

    def at(self, cycle: Cycle, densities: Callable[[int], float]) -> float:
        return self.high + self.rising.low - self.rising.at(cycle, densities)

    def check(self, owner: object) -> None:
        self.rising.check(owner)


class ReversedS(PeakedRate):
    """Let the peak rate fall where SILO lets it grow, from ``high`` to ``high - fall``.

    Args:
        high: The peak before it falls, above ``fall``.
        fall: How much it falls, at least 0.
        beta: How steeply, above 0.
        delay: The last cycle with the high peak, at least 0.
        warmup: The length of the warm-up: a float up to 1 is a fraction of the cycle, anything else optimizer steps.
        drops: Where the rate is divided by 10, in the same units, rising.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    def __init__(
        self,
        high: float,
        fall: float,
        beta: float = 5,
        delay: int = 1,
        warmup: int | float = 0.5,
        drops: Sequence[int | float] = (0.5, 0.64),
    ) -> None:
        super().__init__(FallingPeak(high, fall, beta, delay), Drops(warmup, drops))
        self.high, self.fall, self.beta, self.delay = high, fall, beta, delay
        self.warmup, self.drops = warmup, drops
