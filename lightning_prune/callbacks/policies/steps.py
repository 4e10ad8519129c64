"""Rates that warm up along a line and drop in steps, to a constant peak or to one that grows along an S."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_prune.basics.checks import check_at_least
from lightning_prune.callbacks.policies.arguments import check_drops
from lightning_prune.callbacks.policies.peaked import ConstantPeak, Course, PeakedRate, SPeak
from lightning_prune.schedules import rates


@dataclass(frozen=True)
class Drops(Course):
    """Warm up linearly from 0 to the peak, then divide by 10 at each drop.

    Args:
        warmup: The length of the warm-up. A float up to 1 is a fraction of the cycle, anything else is a number of
            optimizer steps.
        drops: Where the rate is divided by 10, in the same units, rising.

    Example:
        >>> [Drops(warmup=2, drops=(0.75,)).at(step, steps=4, peak=1.0) for step in range(4)]
        [0.5, 1.0, 1.0, 0.1]
    """

    warmup: int | float = 0.5
    drops: Sequence[int | float] = (0.5, 0.64)

    def at(self, step: int, steps: int, peak: float) -> float:
        return rates.warmup_steps(step, steps, peak, self.warmup, self.drops)

    def check(self, owner: object) -> None:
        check_at_least(owner, 0, {"warmup": self.warmup})
        check_drops(owner, self.drops)


class WarmupSteps(PeakedRate):
    """Warm up linearly to a constant peak, then divide by 10 at each drop, like SILO without its S.

    The rate grows by the same amount at every step from 0 on and stops at the peak. A drop ends the warm-up, even if
    the peak is not reached. The control that SILO has to beat is ``WarmupSteps(max_lr=low + rise)``. Without warm-up
    the policy is the step decay.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks, 2019,
    https://arxiv.org/abs/1803.03635. It is a baseline in Liu et al. (SILO), 2023, https://arxiv.org/abs/2212.06144,
    whose values for it are not confirmed. ``SILOSchedule`` has the same defaults.

    Args:
        max_lr: The peak, above 0. None for the largest rate of the dense run.
        warmup: The length of the warm-up. A float up to 1 is a fraction of the cycle, anything else is a number of
            optimizer steps.
        drops: Where the rate is divided by 10, in the same units, rising.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from lightning_prune import Cycle
        >>> policy = WarmupSteps(max_lr=0.1, warmup=0.4, drops=(0.5, 0.8))
        >>> cycle = Cycle(index=1, first_step=0, steps=10, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 4) for step in (0, 3, 4, 5, 8, 9)]
        [0.025, 0.1, 0.1, 0.01, 0.001, 0.001]
    """

    def __init__(
        self,
        max_lr: float | None = None,
        warmup: int | float = 0.5,
        drops: Sequence[int | float] = (0.5, 0.64),
    ) -> None:
        super().__init__(ConstantPeak(max_lr), Drops(warmup, drops))
        self.max_lr, self.warmup, self.drops = max_lr, warmup, drops


class SILOSchedule(PeakedRate):
    """Let the peak rate grow along an S as the network gets sparser. Within a cycle, warm up and drop in steps.

    Up to cycle ``delay`` the peak is ``low``. Then the peak grows to ``low + rise`` as further weights are removed. The
    peak is half way where half of the weights left at ``delay`` are gone. Within a cycle the rate rises linearly from 0
    and is divided by 10 at each drop. Warm-up and drops stand in the authors' ResNet-20 script at epochs 25 and 32 of
    50, which are the defaults here. The paper's values for other networks are not confirmed.

    Reference: Liu, Ghosh, Tan & Motani, Optimizing Learning Rate Schedules for Iterative Pruning of Deep Neural
    Networks, 2023, https://arxiv.org/abs/2212.06144.

    Args:
        low: The peak before it grows, above 0. Take 0.03 for ResNet-20, 0.04 for VGG-19.
        rise: How much the peak grows, at least 0. Take 0.04 for ResNet-20, 0.06 for VGG-19.
        beta: How steeply the peak grows, above 0.
        delay: The last cycle with the low peak, at least 0.
        warmup: The length of the warm-up. A float up to 1 is a fraction of the cycle, anything else is a number of
            optimizer steps.
        drops: Where the rate is divided by 10, in the same units, rising.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> silo = SILOSchedule(low=0.03, rise=0.04)
        >>> [round(silo.peak(density=0.8**m, growth_density=0.8), 5) for m in (1, 4, 5)]
        [0.03, 0.04761, 0.06446]
    """

    def __init__(
        self,
        low: float,
        rise: float,
        beta: float = 5,
        delay: int = 1,
        warmup: int | float = 0.5,
        drops: Sequence[int | float] = (0.5, 0.64),
    ) -> None:
        super().__init__(SPeak(low, rise, beta, delay), Drops(warmup, drops))
        self.low, self.rise, self.beta, self.delay = low, rise, beta, delay
        self.warmup, self.drops = warmup, drops

    def peak(self, density: float, growth_density: float) -> float:
        """The peak rate at a density. See :func:`lightning_prune.schedules.rates.s_shape`."""
        return rates.s_shape(density, growth_density, self.low, self.rise, self.beta)
