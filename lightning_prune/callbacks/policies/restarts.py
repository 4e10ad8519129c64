"""Rates that start again at the top: one warm-up, then down in steps, along a line or along half a cosine."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl

from lightning_prune.basics.checks import check_at_least, check_fraction, check_positive
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.arguments import (
    Interval,
    check_drops,
    check_interval,
    check_length,
    place,
)
from lightning_prune.callbacks.policies.base import ShapedRate
from lightning_prune.callbacks.policies.tape import Tape
from lightning_prune.schedules import rates


class ScaledRestart(ShapedRate):
    """SLR: warm up from the last to the largest rate of the dense run, then drop in steps.

    The rate goes up along half a cosine over the first ``floor(warmup * E)`` epochs (or steps) of ``E``. Then it is
    multiplied by ``factor`` at each drop. As in the authors' code, the drops count from the end of the warm-up, and
    the rate changes once an epoch.

    Zimmer et al. call another schedule SLR: the dense schedule itself, compressed. It is ``CompressedRestart`` here.

    Reference: Le & Hua, Network Pruning That Matters: A Case Study on Retraining Variants, 2021,
    https://arxiv.org/abs/2105.03193.

    Args:
        max_lr: The rate after the warm-up, above 0. None for the largest rate of the dense run.
        start_lr: The first rate, at least 0. None for the last rate of the dense run.
        warmup: The fraction of the cycle that rises, in [0, 1].
        drops: Where the rate drops, as fractions of the time after the warm-up, in (0, 1], rising. The authors have
            ``(0.5, 0.75)`` on CIFAR and ``(0.33, 0.66)`` on ImageNet.
        factor: What the rate is multiplied by at each drop, in (0, 1].
        interval: Whether the rate changes with every ``"epoch"``, or with every ``"step"``.

    Raises:
        ValueError: If an argument lies outside its range. When the training starts, if the rate changes with the epoch
            and cycles are counted in steps.

    Example:
        >>> policy = ScaledRestart(max_lr=0.1, start_lr=0.001, interval="step")
        >>> cycle = Cycle(index=1, first_step=0, steps=40, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 6) for step in (0, 1, 4, 22, 31)]
        [0.001, 0.015498, 0.1, 0.01, 0.001]
    """

    def __init__(
        self,
        max_lr: float | None = None,
        start_lr: float | None = None,
        warmup: float = 0.1,
        drops: Sequence[float] = (0.5, 0.75),
        factor: float = 0.1,
        interval: Interval = "epoch",
    ) -> None:
        super().__init__()
        check_positive(self, {"max_lr": max_lr}, none=True)
        check_positive(self, {"factor": factor})
        check_at_least(self, 0, {"start_lr": 0.0 if start_lr is None else start_lr})
        check_fraction(self, {"warmup": warmup, "factor": factor})
        check_drops(self, drops, largest=1)
        check_interval(self, interval)
        self.max_lr = max_lr
        self.start_lr = start_lr
        self.warmup = warmup
        self.drops = drops
        self.factor = factor
        self.interval: Interval = interval

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        check_length(self, trainer, self.interval)

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        peak = self.highest(cycle)
        start = last_rate(self.tape) if self.start_lr is None else self.start_lr
        at, length = place(self, self.interval, step, cycle)
        return rates.warmup_drops(at, length, start, peak, self.warmup, self.drops, self.factor)


class LinearRestart(ShapedRate):
    """LLR: warm up from 0 to the largest rate of the dense run, then go down to 0 along a line.

    The rate goes up along half a cosine over the first ``w = floor(warmup * B)`` of ``B`` steps. The last step has the
    rate ``max_lr / (B - w)``.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843.

    Args:
        max_lr: The rate after the warm-up, above 0. None for the largest rate of the dense run.
        warmup: The fraction of the cycle that rises, in [0, 1].

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> policy = LinearRestart(max_lr=0.1)
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 5) for step in (0, 1, 2, 11, 19)]
        [0.0, 0.05, 0.1, 0.05, 0.00556]
    """

    def __init__(self, max_lr: float | None = None, warmup: float = 0.1) -> None:
        super().__init__()
        check_positive(self, {"max_lr": max_lr}, none=True)
        check_fraction(self, {"warmup": warmup})
        self.max_lr = max_lr
        self.warmup = warmup

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        return rates.warmup_anneal(step, cycle.steps, 0.0, self.highest(cycle), 0.0, self.warmup, rates.linear)


class CosineRestart(ShapedRate):
    """Warm up from 0 to the largest rate of the dense run, then go down along half a cosine.

    The rate goes up along half a cosine over the first ``floor(warmup * B)`` of ``B`` steps (or epochs). The rate would
    reach ``final_lr`` one step after the last. With the smallest rate of the dense run as ``final_lr``, the policy is
    the CLR that Zimmer et al. compare with. With ``warmup=0`` and ``interval="epoch"`` it is the retraining of Gupta
    et al.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843, and Gupta et al., Is Complexity Required for Neural Network Pruning? A Case Study
    on Global Magnitude Pruning, 2022, https://arxiv.org/abs/2209.14624.

    Args:
        max_lr: The rate after the warm-up, above 0. None for the largest rate of the dense run.
        final_lr: The rate that the cosine ends with, at least 0.
        warmup: The fraction of the cycle that rises, in [0, 1].
        interval: Whether the rate changes with every ``"step"``, or with every ``"epoch"``.

    Raises:
        ValueError: If an argument lies outside its range. When the training starts, if the rate changes with the epoch
            and cycles are counted in steps.

    Example:
        >>> policy = CosineRestart(max_lr=0.1)
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 5) for step in (0, 1, 2, 11, 19)]
        [0.0, 0.05, 0.1, 0.05, 0.00076]
    """

    def __init__(
        self, max_lr: float | None = None, final_lr: float = 0.0, warmup: float = 0.1, interval: Interval = "step"
    ) -> None:
        super().__init__()
        check_positive(self, {"max_lr": max_lr}, none=True)
        check_at_least(self, 0, {"final_lr": final_lr})
        check_fraction(self, {"warmup": warmup})
        check_interval(self, interval)
        self.max_lr = max_lr
        self.final_lr = final_lr
        self.warmup = warmup
        self.interval: Interval = interval

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        check_length(self, trainer, self.interval)

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        peak = self.highest(cycle)
        at, length = place(self, self.interval, step, cycle)
        return rates.warmup_anneal(at, length, 0.0, peak, self.final_lr, self.warmup, rates.cosine)


def last_rate(tape: Tape) -> float:
    """The last rate of the dense run, of the parameter group that had the largest one.

    Args:
        tape: The dense run, at least one step.

    Returns:
        The rate.
    """
    peaks = tape.peaks()
    return tape.last[min(peaks.index(max(peaks)), len(tape.last) - 1)].lr
