"""Give every cycle a peak by its number: the control of a peak that follows the density, where nothing is pruned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightning_prune.basics.checks import check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.peaked import Peak, PeakedRate
from lightning_prune.callbacks.policies.steps import Drops


@dataclass(frozen=True)
class PeaksOfCycles(Peak):
    """The peaks of the first cycle, the second, and so on."""

    peaks: Sequence[float]

    def at(self, cycle: Cycle, densities: Callable[[int], float]) -> float:
        if cycle.index > len(self.peaks):
            raise UserError(
                f"ListedPeaks(peaks={list(self.peaks)}) has no peak for cycle {cycle.index}. Give one for every cycle."
            )
        return self.peaks[cycle.index - 1]

    def check(self, owner: object) -> None:
        check_positive(owner, {f"peaks[{place}]": peak for place, peak in enumerate(self.peaks)})


class ListedPeaks(PeakedRate):
    """Warm up to the peak that is listed for the cycle, then divide by 10 at each drop, as SILO does.

    Args:
        peaks: The peak of every cycle, each above 0.
        warmup: The length of the warm-up: a float up to 1 is a fraction of the cycle, anything else optimizer steps.
        drops: Where the rate is divided by 10, in the same units, rising.

    Raises:
        ValueError: If an argument lies outside its range, or a cycle has no peak.
    """

    def __init__(
        self,
        peaks: Sequence[float],
        warmup: int | float = 0.5,
        drops: Sequence[int | float] = (0.5, 0.64),
    ) -> None:
        super().__init__(PeaksOfCycles(tuple(peaks)), Drops(warmup, drops))
        self.peaks_listed, self.warmup, self.drops = tuple(peaks), warmup, drops
