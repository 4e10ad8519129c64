"""Where in the run it is: the counters that decide which cycle it is, saved with every checkpoint."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import lightning.pytorch as pl

from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.schedules.durations import Duration


@dataclass
class Position:
    """The counters of a fit.

    Lightning's hooks are not reliable edges: resumed in the middle of an epoch, or from a checkpoint of its last
    batch, some never come. So every batch asks where it is, and catches up.

    Attributes:
        step: Optimizer steps since the start of the fit, before the current batch.
        epoch: The current epoch since the start of the fit.
        first_epoch: Lightning's epoch at the start of the fit; not 0 for a second fit of a Trainer.
        first_global_step: Lightning's step at the start of the fit.
        dense_end: The step at which the dense run ended; None while it goes on.
        cycle: The cycle that is running; None in the dense run.
        epoch_start: The step at which the epoch began.
        epoch_steps: The steps of the last epoch that was counted; 0 before the first.
        stepped: Whether an optimizer has stepped in the current batch.
        cut_epochs: How many epochs were left out, in all, by phases that ended early.
        cut_steps: The same for cycles that go by steps, in optimizer steps.
        longer: How much longer than planned the cycle is that is running, in the unit of its length.
        partial: Whether the epoch was ended before its last batch, and does not show how many steps epochs have.
        untold: How many have yet to be told of the cycle that is beginning; None if it has begun.
    """

    step: int = 0
    epoch: int = 0
    first_epoch: int = 0
    first_global_step: int = 0
    dense_end: int | None = None
    cycle: Cycle | None = None
    epoch_start: int = 0
    epoch_steps: int = 0
    stepped: bool = False
    cut_epochs: int = 0
    cut_steps: int = 0
    longer: int = 0
    partial: bool = False
    untold: int | None = None

    def begin(self, trainer: "pl.Trainer") -> None:
        """Start counting here."""
        self.first_epoch, self.first_global_step = trainer.current_epoch, trainer.global_step

    def note_step(self) -> None:
        """An optimizer has stepped; several in one batch count as one step."""
        self.stepped = True

    def finish_batch(self) -> None:
        """Count the step of the batch, if it made one."""
        self.step += self.stepped
        self.stepped = False

    def enter_batch(self, trainer: "pl.Trainer", dense: Duration) -> None:
        """Look where the coming batch is."""
        self.finish_batch()
        epoch = trainer.current_epoch - self.first_epoch
        if epoch != self.epoch:
            counted = self.step - self.epoch_start
            self.epoch_steps = max(counted, self.epoch_steps) if self.partial else counted
            self.epoch, self.epoch_start, self.partial = epoch, self.step, False
        if self.dense_end is None and self.dense_is_over(trainer, dense):
            self.dense_end = self.step

    def dense_is_over(self, trainer: "pl.Trainer", dense: Duration) -> bool:
        """Whether the dense run is over, before a batch or after its step."""
        if dense.unit == "ep":
            return self.epoch + self.cut_epochs >= dense.amount
        return trainer.global_step - self.first_global_step >= dense.amount

    def is_over(self, trainer: "pl.Trainer", timeline: Timeline) -> bool:
        """Whether the last cycle was trained to its end, when the fit ends: something else may have stopped it."""
        if not timeline.cycles and timeline.dense.unit == "it":
            return self.dense_is_over(trainer, timeline.dense)
        if timeline.inside and timeline.inside.unit == "it":
            return trainer.global_step - self.first_global_step >= timeline.inside.amount
        if timeline.cycles and not timeline.by_epochs and not timeline.inside:
            return timeline.index(0, self.steps_since_dense) > timeline.cycles
        whole = not trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return whole and trainer.current_epoch - self.first_epoch + self.cut_epochs >= timeline.epochs

    @property
    def steps_since_dense(self) -> int | None:
        """The steps made since the dense run ended; None while it goes on."""
        return None if self.dense_end is None else self.step - self.dense_end + self.cut_steps

    def cut_short(self, timeline: Timeline) -> None:
        """End the phase that is under way with the current epoch, or with the current step where cycles go by steps."""
        index = 0 if self.cycle is None else self.cycle.index
        if self.dense_end is None and timeline.dense.unit == "it":
            self.dense_end = self.step + self.stepped
        elif timeline.by_epochs or self.dense_end is None:
            end = timeline.dense.amount + index * timeline.retrain.amount * timeline.by_epochs
            self.cut_epochs += max(end - (self.epoch + 1 + self.cut_epochs), 0)
        else:
            self.cut_steps += index * timeline.retrain.amount - (self.steps_since_dense or 0) - self.stepped

    def lengthen(self, timeline: Timeline, longer: int) -> None:
        """Let the cycle that begins last longer than planned, or shorter: what comes after it moves by as much.

        Args:
            timeline: The timeline.
            longer: By how much, in the unit of its cycles; 0 for the planned length.
        """
        self.longer = longer
        if timeline.by_epochs:
            self.cut_epochs -= longer
        else:
            self.cut_steps -= longer

    def rescale(self, timeline: Timeline, per_epoch: int | None) -> None:
        """Stay at the same place of the cycle where epochs have another number of steps: on more or fewer processes.

        Args:
            timeline: The timeline.
            per_epoch: Optimizer steps in an epoch of this fit; None if unknown.
        """
        if self.cycle is None or per_epoch is None or not timeline.by_epochs:
            return
        steps = (timeline.retrain.amount + self.longer) * per_epoch
        done = self.step - self.cycle.first_step
        if steps != self.cycle.steps:
            self.cycle = replace(self.cycle, first_step=self.step - done * steps // self.cycle.steps, steps=steps)

    def state_dict(self) -> dict[str, Any]:
        """Plain types; the step of a batch that is under way is counted."""
        return {**asdict(self), "step": self.step + self.stepped, "stepped": False}

    def load(self, state: dict[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, value)
        if state["cycle"] is not None:
            self.cycle = Cycle(**state["cycle"])
