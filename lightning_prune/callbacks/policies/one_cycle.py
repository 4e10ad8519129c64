"""Rates that rise and fall once in a cycle, as ``torch.optim.lr_scheduler.OneCycleLR`` has them."""

from lightning_prune.basics.checks import check_at_least, check_fraction, check_positive
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import ShapedRate
from lightning_prune.schedules import rates

_MOMENTA = (0.95, 0.85, 0.95)  # first, at the peak of the rate, last


class OneCycleRetrain(ShapedRate):
    """Retrain every cycle along one rise and one fall of the learning rate.

    The rate goes up from ``max_lr / start_div`` to ``max_lr``, then down to ``max_lr / final_div``, both along half a
    cosine. Le & Hua's CLR, as in the authors' code, is ``CyclicRestart()``, or this policy with
    ``cycle_momentum=True``.

    Reference: Le & Hua, Network Pruning That Matters: A Case Study on Retraining Variants, 2021,
    https://arxiv.org/abs/2105.03193.

    Args:
        max_lr: The peak, above 0. None for the largest rate of the dense run, of each parameter group.
        warmup: The fraction of the cycle that rises, in [0, 1].
        start_div: The peak over the first rate, at least 1.
        final_div: The peak over the last rate, at least 1.
        cycle_momentum: Whether the momentum (or first beta) goes the other way, from 0.95 to 0.85 and back.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> policy = OneCycleRetrain(max_lr=0.1)
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 5) for step in (0, 1, 10, 19)]
        [0.001, 0.1, 0.05001, 1e-05]
    """

    def __init__(
        self,
        max_lr: float | None = None,
        warmup: float = 0.1,
        start_div: float = 100,
        final_div: float = 10_000,
        cycle_momentum: bool = False,
    ) -> None:
        super().__init__()
        check_positive(self, {"max_lr": max_lr}, none=True)
        check_positive(self, {"start_div": start_div, "final_div": final_div})
        check_fraction(self, {"warmup": warmup})
        self.max_lr = max_lr
        self.warmup = warmup
        self.start_div = start_div
        self.final_div = final_div
        self.cycle_momentum = cycle_momentum

    def ends(self, peak: float) -> tuple[float, float]:
        """The first and the last rate of a cycle with this peak."""
        return peak / self.start_div, peak / self.final_div

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        peak = self.highest(cycle)
        first, last = self.ends(peak)
        return rates.one_cycle(step, cycle.steps, first, peak, last, self.warmup)

    def momentum(self, step: int, cycle: Cycle) -> float | None:
        return rates.one_cycle(step, cycle.steps, *_MOMENTA, self.warmup) if self.cycle_momentum else None


class CyclicRestart(OneCycleRetrain):
    """CLR: retrain every cycle along one rise and one fall of the learning rate, and the momentum the other way.

    The authors' code has ``torch.optim.lr_scheduler.OneCycleLR(max_lr, div_factor=100, final_div_factor=100,
    pct_start=0.1)``, stepped per batch. The momentum goes from 0.95 to 0.85 and back, whatever the momentum of the
    dense run was. The policy is ``OneCycleRetrain(cycle_momentum=True)`` with the arguments of torch. The momentum
    confounds comparisons with other schedules: ``cycle_momentum=False`` leaves the momentum where it was.

    Reference: Le & Hua, Network Pruning That Matters: A Case Study on Retraining Variants, 2021,
    https://arxiv.org/abs/2105.03193.

    Args:
        max_lr: The peak, above 0. None for the largest rate of the dense run.
        warmup: The fraction of the cycle that rises, in [0, 1].
        div_factor: The peak over the first rate, at least 1. The authors' HRank scripts have 10.
        final_div_factor: The first rate over the last one, at least 1.
        cycle_momentum: Whether the momentum (or first beta) is cycled.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> policy = CyclicRestart(max_lr=0.1)
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 5) for step in (0, 1, 10, 19)]
        [0.001, 0.1, 0.05001, 1e-05]
        >>> [round(policy.momentum(step, cycle), 3) for step in (0, 1, 19)]
        [0.95, 0.85, 0.95]
    """

    def __init__(
        self,
        max_lr: float | None = None,
        warmup: float = 0.1,
        div_factor: float = 100,
        final_div_factor: float = 100,
        cycle_momentum: bool = True,
    ) -> None:
        check_at_least(self, 1, {"div_factor": div_factor, "final_div_factor": final_div_factor})
        super().__init__(max_lr, warmup, div_factor, div_factor * final_div_factor, cycle_momentum)
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor

    def ends(self, peak: float) -> tuple[float, float]:
        first = peak / self.div_factor
        return first, first / self.final_div_factor  # one after the other, as torch divides: equal to the last bit
