"""Base classes of the learning-rate policies.

A policy records the rate of every step of the dense run, lets the user's own
schedules sleep afterwards, and writes the rates of each step of a cycle before
its batch. To add one, derive from :class:`ShapedRate` and write
``learning_rate``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer

from lightning_prune.callbacks.base import CycleCallback, Kind
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.sleeping_schedulers import put_to_sleep, wake
from lightning_prune.callbacks.policies.tape import Rate, Row, Tape, has_rates, read_rates, write_rates


class LearningRatePolicy(CycleCallback, ABC):
    """The rates of every step of every cycle.

    Attributes:
        tape: The rates of the dense run.
    """

    _kind = Kind.LEARNING_RATE

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.tape = Tape()
        self._row: Row = ()
        self._tried = -1
        self._entered: Cycle | None = None
        self._lowest, self._highest = float("inf"), 0.0
        self._counted: Row | None = None  # the last row that these two know of

    @abstractmethod
    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        """The rate of every parameter group.

        Args:
            step: The step of the cycle, ``0 <= step < cycle.steps``.
            cycle: The cycle.

        Returns:
            One rate for each parameter group, over all optimizers.
        """

    def on_train_epoch_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._follow(trainer)

    def on_train_batch_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._follow(trainer)

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        clock, optimizers, row = self.clock, trainer.optimizers, self._row
        cycle, step = clock.retraining, clock.step
        if cycle is None:
            row = self.tape.record_from(optimizers, step)
        else:
            if self._tried == step:
                refuse_endless(trainer, cycle)
            self._tried = step
            if not has_rates(optimizers, row):  # the user's own code may set rates, too
                write_rates(optimizers, row)
                row = read_rates(optimizers)
        if row is not self._counted:  # the same object has the same rates
            self._counted = row
            for lr, _ in row:
                if lr < self._lowest:
                    self._lowest = lr
                if lr > self._highest:
                    self._highest = lr

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self._lowest <= self._highest:
            pl_module.log_dict({"pruning/lr_min": self._lowest, "pruning/lr_max": self._highest})
        self._lowest, self._highest, self._counted = float("inf"), 0.0, None

    def on_train_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        wake(trainer)
        if self._cycle is not None and self.tape.length:  # a cycle may have left another momentum
            row = zip(read_rates(trainer.optimizers), self.tape.last, strict=False)
            write_rates(trainer.optimizers, [Rate(now.lr, dense.momentum) for now, dense in row])

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        wake(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"tape": self.tape.state_dict(), "lowest": self._lowest, "highest": self._highest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._lowest, self._highest, self._counted = state_dict["lowest"], state_dict["highest"], None
        self.tape.load_state_dict(state_dict["tape"])

    @property
    def _cycle(self) -> Cycle | None:
        """The cycle that the policy sets the rates of. None while the rates of the dense run go on."""
        return self.clock.retraining

    def _follow(self, trainer: "pl.Trainer") -> None:
        """Act before a batch: the tape records the dense run, and the policy sets the rates afterwards."""
        clock, optimizers = self.clock, trainer.optimizers
        cycle, done = clock.retraining, clock.step
        if cycle is None:
            self.tape.begin_epoch(clock.epoch, done)
            return
        if cycle is not self._entered:
            self._enter(trainer, cycle)
        self._row = row = tuple(self.rates(min(done - cycle.first_step, cycle.steps - 1), cycle))
        if not has_rates(optimizers, row):
            write_rates(optimizers, row)

    def _enter(self, trainer: "pl.Trainer", cycle: Cycle) -> None:
        """Begin a cycle, or go on with one after a resume."""
        self._entered = cycle
        put_to_sleep(trainer)
        if 0 < cycle.first_step == self.clock.step == self.clock.dense_end:  # the first cycle that is not left out
            self.tape.cut(cycle.first_step)
        if not self.tape.length:  # no dense run: only the first rates of the optimizers are known
            self.tape.record(0, read_rates(trainer.optimizers))


class ShapedRate(LearningRatePolicy):
    """A policy that gives one rate, for the parameter group with the largest rate of the dense run.

    The other groups keep their ratio to it.

    Attributes:
        max_lr: The highest rate, where a policy has it as an argument. None for the largest rate of the dense run.

    Example:
        >>> class Halved(ShapedRate):
        ...     def learning_rate(self, step: int, cycle: Cycle) -> float:
        ...         return self.dense_peak / 2
        >>> policy = Halved()
        >>> policy.tape.record(0, (Rate(0.1, 0.9), Rate(0.01, 0.9)))
        >>> policy.rates(0, Cycle(1, 1, 1, 0.5))
        [Rate(lr=0.05, momentum=0.9), Rate(lr=0.005, momentum=0.9)]
    """

    max_lr: float | None = None

    @abstractmethod
    def learning_rate(self, step: int, cycle: Cycle) -> float:
        """The rate of the parameter group with the largest one.

        Args:
            step: The step of the cycle, ``0 <= step < cycle.steps``.
            cycle: The cycle.

        Returns:
            The learning rate, at least 0.
        """

    def momentum(self, step: int, cycle: Cycle) -> float | None:
        """The momentum (or first beta) of all groups. None, the default, for the momentum of the last dense step."""
        return None

    def highest(self, cycle: Cycle) -> float:
        """The rate that a cycle reaches, or would reach in more steps, and never exceeds. By default ``max_lr``."""
        return self.dense_peak if self.max_lr is None else self.max_lr

    @property
    def dense_peak(self) -> float:
        """The largest rate of the dense run."""
        return max(self.tape.peaks())

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        return in_proportion(self.tape, self.learning_rate(step, cycle), self.momentum(step, cycle))


def in_proportion(tape: Tape, lr: float, momentum: float | None = None) -> list[Rate]:
    """One rate for all parameter groups, in the ratio of their largest dense rates.

    Args:
        tape: The dense run, at least one step.
        lr: The rate of the group with the largest one.
        momentum: The momentum of all groups. None for the momentum of the last dense step.

    Returns:
        One rate for each group.
    """
    peaks = tape.peaks()
    largest = max(peaks) or 1.0
    return [
        Rate(lr * (peak / largest), last.momentum if momentum is None else momentum)
        for peak, last in zip(peaks, tape.last, strict=False)
    ]


def refuse_endless(trainer: "pl.Trainer", cycle: object) -> None:
    """Stop a run that skips every step: a run that is counted in steps would never end.

    Args:
        trainer: The trainer, when a step is tried once more.
        cycle: The cycle that is under way, for the error.

    Raises:
        RuntimeError: If the scale of the loss has fallen to zero, from where it never rises again.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or scaler.get_scale():
        return
    raise RuntimeError(
        f"IterativePruning makes no step any more in {cycle}: the gradients overflow at any scale, and that of the "
        "GradScaler has fallen to 0. Look for what is infinite or NaN in the loss, or train in bf16-mixed."
    )
