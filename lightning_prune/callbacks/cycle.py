"""What a cycle is, and the one extra hook: ``on_cycle_start``.

``IterativePruning`` calls ``on_cycle_start(trainer, pl_module, cycle)`` on every
callback that defines it and on the LightningModule where it defines it (there
``on_cycle_start(cycle)`` will do, as Lightning's own hooks have it): after the
weights were pruned and before the first batch of the cycle. What it changes in
the weights is masked once more afterwards. A retraining variant of your own
needs nothing else.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from inspect import signature
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_prune.durations import Duration


@dataclass(frozen=True)
class Cycle:
    """One training at one sparsity.

    Args:
        index: Its number; cycle 0 is the dense run, for which the hook is not called.
        first_step: The optimizer step at which it begins, counted from the start of the fit.
        steps: How many optimizer steps it lasts.
        sparsity: The sparsity that the schedule asks for, in [0, 1).

    Example:
        >>> Cycle(index=1, first_step=660, steps=330, sparsity=0.2).density
        0.8
    """

    index: int
    first_step: int
    steps: int
    sparsity: float

    @property
    def density(self) -> float:
        """The fraction of the prunable weights that is left, in (0, 1]."""
        return 1 - self.sparsity


class CycleClock(Callback, ABC):
    """The callback that says which cycle it is: ``IterativePruning``."""

    cycles: int

    @property
    @abstractmethod
    def cycle(self) -> Cycle | None:
        """The cycle that is running; None in the dense run."""

    @property
    @abstractmethod
    def step(self) -> int:
        """How many optimizer steps were made since the start of the fit, before the current batch."""

    @property
    @abstractmethod
    def epoch(self) -> int:
        """The current epoch, counted from 0 at the start of the fit."""

    @property
    @abstractmethod
    def dense_length(self) -> Duration:
        """The length of the dense run."""

    @property
    @abstractmethod
    def cycle_length(self) -> Duration:
        """The length of a cycle."""

    @property
    @abstractmethod
    def measured_sparsity(self) -> float:
        """The fraction of the prunable weights that is dead, counted."""

    @abstractmethod
    def scheduled(self, cycle: int) -> float:
        """The sparsity that the schedule asks for in a cycle."""

    @abstractmethod
    def end_phase(self, trainer: "pl.Trainer") -> bool:
        """End the dense run or the cycle with the current epoch; True if nothing comes after it."""


class CycleCallback(Callback):
    """A callback that works beside ``IterativePruning`` and may ask it for the time.

    Attributes:
        rewind_point: The point of the dense run that every cycle goes back to; None if it goes nowhere.
        replays: Whether the cycle is to repeat the dense run from the rewind point to its end.
    """

    rewind_point: Duration | None = None
    replays: bool = False
    _clock: CycleClock | None = None

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            self._clock = find_clock(trainer, self)
            self.forget()

    def forget(self) -> None:
        """Drop what an earlier fit, or loading for an evaluation, has left; a resumed state comes after this."""

    @property
    def clock(self) -> CycleClock:
        """The ``IterativePruning`` of this fit."""
        if self._clock is None:
            raise RuntimeError(f"{type(self).__name__} has no clock before the fit is set up.")
        return self._clock


def find_clock(trainer: "pl.Trainer", asker: Callback) -> CycleClock:
    """Find the ``IterativePruning`` among the callbacks of a trainer.

    Args:
        trainer: The trainer.
        asker: Who needs it, for the error.

    Returns:
        The clock.

    Raises:
        ValueError: If there is none.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, CycleClock):
            return callback
    name = type(asker).__name__
    raise ValueError(
        f"{name} does nothing without IterativePruning: it only says how the cycles are retrained. Add it: "
        f"Trainer(callbacks=[IterativePruning(cycles=10, retrain='15ep'), {name}(...)])."
    )


def announce(trainer: "pl.Trainer", cycle: Cycle) -> None:
    """Call ``on_cycle_start`` on the callbacks and on the LightningModule, where they define it.

    Args:
        trainer: The trainer.
        cycle: The cycle that begins.
    """
    module = trainer.lightning_module
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _call(getattr(callback, "on_cycle_start", None), trainer, module, cycle)
    hook = getattr(module, "on_cycle_start", None)
    takes_all = callable(hook) and len(signature(hook).parameters) == 3
    _call(hook, *((trainer, module, cycle) if takes_all else (cycle,)))


def _call(hook: Any, *arguments: Any) -> None:
    if callable(hook):
        hook(*arguments)
