"""Rates of any scheduler of torch, by class path. The scheduler steps an optimizer of its own."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightning_prune.basics.checks import check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.arguments import Interval, check_interval, check_length, place
from lightning_prune.callbacks.policies.base import LearningRatePolicy, in_proportion
from lightning_prune.callbacks.policies.tape import Rate, Tape, read_rates
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch


class TorchScheduler(LearningRatePolicy):
    """Retrain every cycle along a learning-rate scheduler of torch, which starts again in each.

    The scheduler steps a second optimizer that trains nothing. This optimizer has the parameter groups of the user's
    optimizer, with their largest rates of the dense run and their last momentum. The user's optimizer takes over the
    rates, and the momentum where the schedule cycles the momentum. The scheduler may change the ratios between the
    groups.

    Reference: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate.

    Args:
        scheduler: Makes a scheduler from an optimizer. In YAML the class path and arguments of one, such as
            ``{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 5}}``.
        interval: Whether the scheduler steps after every ``"epoch"``, as Lightning does, or after every optimizer
            ``"step"``.
        max_lr: The rate that the scheduler starts from, above 0. It is the rate of the parameter group with the largest
            dense rate. The other groups follow in proportion. None for the largest rate of the dense run.

    Raises:
        ValueError: If ``scheduler`` is ``ReduceLROnPlateau``, which depends on what is measured. When the training
            starts, if the scheduler fails within a cycle, gives rates below 0, or steps with the epoch in cycles that
            are counted in steps.

    Example:
        >>> policy = TorchScheduler(partial(torch.optim.lr_scheduler.StepLR, step_size=2), interval="step")
        >>> policy.tape.record(0, (Rate(lr=0.1, momentum=0.9),))
        >>> cycle = Cycle(index=1, first_step=1, steps=4, sparsity=0.2)
        >>> [round(policy.rates(step, cycle)[0].lr, 3) for step in range(4)]
        [0.1, 0.1, 0.01, 0.01]
    """

    def __init__(
        self,
        scheduler: Callable[[Optimizer], LRScheduler],
        interval: Interval = "epoch",
        max_lr: float | None = None,
    ) -> None:
        super().__init__()
        if not callable(scheduler):
            raise UserError(
                f"TorchScheduler(scheduler={scheduler!r}) must make a scheduler from an optimizer: give a function, "
                "such as lambda optimizer: StepLR(optimizer, 5), or in YAML the class path and arguments."
            )
        for kind in (scheduler.func, *scheduler.args) if isinstance(scheduler, partial) else (scheduler,):
            _refuse_plateau(kind)  # from YAML, the class is an argument of the function
        _refuse_bare(scheduler)
        check_interval(self, interval)
        check_positive(self, {"max_lr": max_lr}, none=True)
        self.scheduler = scheduler
        self.interval: Interval = interval
        self.max_lr = max_lr

    def forget(self) -> None:
        super().forget()
        self._player: _Player | None = None

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        check_length(self, trainer, self.interval)
        tape = self.tape if self.tape.length else Tape()
        if not tape.length:
            tape.record(0, read_rates(trainer.optimizers))
        _rehearse(self._start(tape), self._length(trainer))

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        at, _ = place(self, self.interval, step, cycle)
        if self._player is None or self._player.done > at:
            self._player = self._start(self.tape)
        return self._player.advance(at)

    def on_fit_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._player = None  # a scheduler holds functions, which cannot be sent to another process

    def _start(self, tape: Tape) -> "_Player":
        return _Player(self.scheduler, in_proportion(tape, self.max_lr or max(tape.peaks())))

    def _length(self, trainer: "pl.Trainer") -> int:
        """The number of rates that a cycle needs. 0 if the number is not known yet."""
        length = self.clock.cycle_length
        if self.interval == "epoch" and length.unit == "ep":
            return length.amount
        return length.steps(steps_per_epoch(trainer) or 0)


class _Player:
    """A scheduler, and the optimizer that it steps."""

    def __init__(self, make: Callable[[Optimizer], LRScheduler], start: Sequence[Rate]) -> None:
        momenta = [0.0 if math.isnan(rate.momentum) else rate.momentum for rate in start]
        groups = [
            {"params": [nn.Parameter(torch.zeros(1))], "lr": rate.lr, "momentum": momentum}
            for rate, momentum in zip(start, momenta, strict=True)
        ]
        self.done = 0
        self._optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.0)
        self._scheduler = make(self._optimizer)
        _refuse_plateau(type(self._scheduler))

    def advance(self, to: int) -> Sequence[Rate]:
        """Step on, and read the rates."""
        while self.done < to:
            self._optimizer.step()  # torch would warn otherwise
            self._scheduler.step()
            self.done += 1
        return read_rates([self._optimizer])  # a momentum that the user's optimizer has not is written nowhere


def _rehearse(player: _Player, length: int) -> None:
    """Run through a cycle before the training, to find errors that would come up after the dense run."""
    for step in range(length):
        try:
            lowest = min(rate.lr for rate in player.advance(step))
        except Exception as error:
            raise UserError(
                f"TorchScheduler(scheduler=...) fails after {step} of the {length} steps of a cycle: {error} Give it "
                f"arguments that fit the cycle, such as total_steps={length}."
            ) from error
        if not 0 <= lowest < math.inf:
            raise UserError(
                f"TorchScheduler(scheduler=...) gives the rate {lowest} in step {step} of the {length} of a cycle: "
                "a learning rate is finite, and at least 0. Change its arguments."
            )


def _refuse_bare(scheduler: Callable[[Optimizer], LRScheduler]) -> None:
    """Refuse a scheduler's class without the arguments that it needs."""
    if not isinstance(scheduler, type):
        return
    _, *others = signature(scheduler).parameters.values()
    needed = [one.name for one in others if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    if needed:
        arguments = ", ".join(f"{name}=..." for name in needed)
        raise UserError(
            f"TorchScheduler(scheduler={scheduler.__name__}) lacks {' and '.join(needed)}: give "
            f"functools.partial({scheduler.__name__}, {arguments}), or in YAML the class path and init_args."
        )


def _refuse_plateau(kind: object) -> None:
    if isinstance(kind, type) and issubclass(kind, ReduceLROnPlateau):
        raise UserError(
            "TorchScheduler(scheduler=ReduceLROnPlateau) cannot work: that schedule depends on what is measured, and "
            "the rates of a cycle follow from the step alone. Give another schedule."
        )
