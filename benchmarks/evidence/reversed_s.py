"""SILO's S upside down: the control that tells a growing peak from any peak that moves."""

from collections.abc import Sequence

from lightning_prune import SILOSchedule
from lightning_prune.callbacks.cycle import Cycle


class ReversedS(SILOSchedule):
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
        super().__init__(high - fall, fall, beta, delay, warmup, drops)
        self.high = high
        self.fall = fall

    def highest(self, cycle: Cycle) -> float:
        return self.high + self.low - super().highest(cycle)
