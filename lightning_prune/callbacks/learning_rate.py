"""How fast the cycles learn: the policies, each the rates of one retraining variant."""

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune import rates
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.limits import steps_per_epoch
from lightning_prune.callbacks.policy import (
    LearningRatePolicy,
    ShapedRate,
    check_fraction,
    check_positive,
    in_proportion,
)
from lightning_prune.callbacks.tape import Rate
from lightning_prune.callbacks.timeline import is_shorter
from lightning_prune.durations import parse_duration


class FineTune(LearningRatePolicy):
    """Retrain at the last learning rate of the dense run, constant.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        lr: The rate instead, above 0: of the parameter group with the largest dense rate, the others in proportion.

    Raises:
        ValueError: If ``lr`` is not above 0.

    Example:
        >>> policy = FineTune()
        >>> policy.tape.record(0, (Rate(lr=0.1, momentum=0.9),))
        >>> policy.tape.record(1, (Rate(lr=0.001, momentum=0.9),))
        >>> policy.rates(5, Cycle(index=1, first_step=2, steps=10, sparsity=0.2))
        (Rate(lr=0.001, momentum=0.9),)
    """

    def __init__(self, lr: float | None = None) -> None:
        super().__init__()
        check_positive(self, {"lr": lr})
        self.lr = lr

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        if self.lr is None and self.tape.length and not any(rate.lr for rate in self.tape.last):
            rank_zero_warn(
                "FineTune() repeats the last dense learning rate, which is 0: the pruned network will not learn. Give "
                "FineTune(lr=...), or a policy that restarts the rate, such as LRRewind()."
            )

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        # The last row itself, not a ratio of it: groups may have been on schedules of their own.
        return self.tape.last if self.lr is None else in_proportion(self.tape, self.lr)


class LRRewind(LearningRatePolicy):
    """Keep the weights and replay the learning rate of the dense run, step by step.

    It replays what was recorded: the rate of every parameter group, and its momentum (or first beta) where the
    schedule cycled it, under any scheduler or none. Where a cycle has another number of steps than the stretch that
    it replays (say, on more processes than the dense run), it replays by position.

    Reference: Renda, Frankle & Carbin, Comparing Rewinding and Fine-tuning in Neural Network Pruning, 2020,
    https://arxiv.org/abs/2003.02389.

    Args:
        to: The point of the dense run to replay from: ``"10ep"``, ``"500it"``, 0 for its start. None for the last part
            of it, as long as a cycle. A cycle that is longer than what remains from there goes on at the last rate.

    Raises:
        ValueError: If ``to`` is not a duration, lies at or after the end of the dense run, or leaves less than nothing
            to replay; the last two when the fit starts.

    Example:
        >>> str(LRRewind(to="10ep").rewind_point), LRRewind().rewind_point
        ('10ep', None)
    """

    replays = True

    def __init__(self, to: str | int | None = None) -> None:
        super().__init__()
        self.to = to
        self.rewind_point = None if to is None else parse_duration(to, "LRRewind(to")

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        dense, retrain = self.clock.dense_length, self.clock.cycle_length
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if dense.amount == 0:
            raise ValueError(
                "LRRewind replays the learning rate of the dense run, but there is none (max_epochs=0). Say what it "
                "was: IterativePruning(dense_run=...), or use a policy with a rate of its own, such as "
                "OneCycleRetrain(max_lr=...)."
            )
        if self.rewind_point is None and is_shorter(dense, retrain, steps_per_epoch(trainer)):
            raise ValueError(
                f"LRRewind() cannot replay the last {retrain} of a dense run of {dense}. Retrain for at most as long "
                f"(IterativePruning(retrain='{dense}')), or train the dense network for longer."
            )

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        epochs, retrain = [*self.tape.epochs, self.tape.length], self.clock.cycle_length
        if retrain.unit == "ep" and (self.rewind_point is None or self.rewind_point.unit == "ep"):
            index = self._in_epoch(step, cycle.steps // retrain.amount, epochs)
        else:
            start, span = self._stretch(epochs)
            index = start + step * span // cycle.steps
        row = self.tape.at(min(index, self.tape.length - 1))
        missing = len(self.tape.last) - len(row)  # groups that came later, such as an unfrozen backbone, were at rest
        return (*row, *[Rate(lr=0.0, momentum=math.nan)] * missing)

    def _in_epoch(self, step: int, per_epoch: int, epochs: list[int]) -> int:
        """The recorded step at the same place of the same epoch of the replay."""
        last = len(epochs) - 1
        first = last - self.clock.cycle_length.amount if self.rewind_point is None else self.rewind_point.amount
        epoch, done = divmod(step, per_epoch)
        begin, end = (epochs[min(max(first, 0) + epoch + shift, last)] for shift in (0, 1))
        return begin + done * (end - begin) // per_epoch

    def _stretch(self, epochs: list[int]) -> tuple[int, int]:
        """The first recorded step of the replay, and how many recorded steps a cycle stands for."""
        span = self.clock.cycle_length.steps(per_epoch=epochs[-1] - epochs[-2])
        if self.rewind_point is None:
            return max(self.tape.length - span, 0), span
        point = self.rewind_point
        at = epochs[min(point.amount, len(epochs) - 1)] if point.unit == "ep" else min(point.amount, epochs[-1] - 1)
        return at, span


class OneCycleRetrain(ShapedRate):
    """Retrain every cycle along one rise and one fall of the learning rate.

    Up from ``max_lr / start_div`` to ``max_lr``, then down to ``max_lr / final_div``, both along half a cosine.
    Le & Hua's CLR, as in the authors' code, is ``OneCycleRetrain(cycle_momentum=True)``.

    Reference: Le & Hua, Network Pruning That Matters: A Case Study on Retraining Variants, 2021,
    https://arxiv.org/abs/2105.03193.

    Args:
        max_lr: The peak, above 0; None for the largest rate of the dense run, of each parameter group.
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
        check_positive(self, {"max_lr": max_lr, "start_div": start_div, "final_div": final_div})
        check_fraction(self, {"warmup": warmup})
        self.max_lr = max_lr
        self.warmup = warmup
        self.start_div = start_div
        self.final_div = final_div
        self.cycle_momentum = cycle_momentum

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        peak = self.dense_peak if self.max_lr is None else self.max_lr
        return rates.one_cycle(step, cycle.steps, peak / self.start_div, peak, peak / self.final_div, self.warmup)

    def momentum(self, step: int, cycle: Cycle) -> float | None:
        return rates.one_cycle(step, cycle.steps, 0.95, 0.85, 0.95, self.warmup) if self.cycle_momentum else None


class SILOSchedule(ShapedRate):
    """Let the peak rate grow along an S as the network gets sparser; within a cycle warm up and drop in steps.

    Up to cycle ``delay`` the peak is ``low``; from there it grows with what has been removed since, to ``low + rise``,
    half way where half of it is gone. Within a cycle the rate rises linearly from 0 and is divided by 10 at each drop.
    Warm-up and drops stand in the authors' ResNet-20 script at epochs 25 and 32 of 50, which are the defaults here; the
    paper's values for other networks are not confirmed.

    Reference: Liu, Ghosh, Tan & Motani, Optimizing Learning Rate Schedules for Iterative Pruning of Deep Neural
    Networks, 2023, https://arxiv.org/abs/2212.06144.

    Args:
        low: The peak before it grows, above 0; 0.03 for ResNet-20, 0.04 for VGG-19.
        rise: How much it grows, at least 0; 0.04 for ResNet-20, 0.06 for VGG-19.
        beta: How steeply, above 0.
        delay: The last cycle with the low peak, at least 0.
        warmup: The length of the warm-up: a float up to 1 is a fraction of the cycle, anything else optimizer steps.
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
        super().__init__()
        check_positive(self, {"low": low, "beta": beta})
        if rise < 0 or delay < 0 or warmup < 0:
            raise ValueError(f"SILOSchedule(rise={rise}, delay={delay}, warmup={warmup}): none may be negative.")
        if any(drop <= 0 for drop in drops) or list(drops) != sorted(drops):
            raise ValueError(f"SILOSchedule(drops={list(drops)}) must be positive and rise, for instance (0.5, 0.75).")
        self.low = low
        self.rise = rise
        self.beta = beta
        self.delay = delay
        self.warmup = warmup
        self.drops = drops

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        growth_density = 1 - self.clock.scheduled(self.delay)
        peak = self.low if cycle.index <= self.delay else self.peak(cycle.density, growth_density)
        return rates.warmup_steps(step, cycle.steps, peak, self.warmup, self.drops)

    def peak(self, density: float, growth_density: float) -> float:
        """The peak rate at a density; see :func:`lightning_prune.rates.s_shape`."""
        return rates.s_shape(density, growth_density, self.low, self.rise, self.beta)
