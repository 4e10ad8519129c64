"""Where in the run it is: the counters that decide which cycle it is, saved with every checkpoint."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import lightning.pytorch as pl

from lightning_prune.basics.saved_state import with_present_names
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.schedules.durations import Duration


@dataclass
class Position:
    """The counters of a fit.

    Lightning's hooks are not reliable edges: resumed in the middle of an epoch, or from a checkpoint of its last
    batch, some never come. So every batch asks where it is, and catches up. In the order of a fit:

    =============================  =====================================================================
    moment                         what is counted
    =============================  =====================================================================
    a fit begins                   ``begin``: everything counts from here
    it is resumed instead          ``load``, then ``rescale``, then ``look``: a checkpoint is of any moment
    a batch, or its epoch, begins  ``look``: the epoch, and whether the dense run is over, for this batch
    a cycle begins                 ``lengthen``, then ``cycle``, then ``untold`` until all are told
    an optimizer steps             ``note_step``: noted only, for ``step`` is that before the batch
    the batch ends                 ``count_step``: what is saved from here on has the step
    a stop ends the phase          ``cut_short``: the plan moves to the start of the next phase
    =============================  =====================================================================

    The dense run ends with the first batch that comes after it, and not with its last batch: the validation and the
    checkpoints between the two are still of the dense network.

    There are two counts of epochs and steps. Lightning counts what was trained. The plan, a :class:`Timeline`, counts
    as if every phase lasted as long as planned. ``epochs_ahead`` and ``steps_ahead`` lead from one to the other.

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
        epochs_ahead: How many epochs the plan is ahead of the training. A phase that ends early adds what it leaves
            out, a cycle that lasts longer than planned takes away what it adds: below 0 the plan is behind.
        steps_ahead: The same for cycles that go by steps, in optimizer steps.
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
    epochs_ahead: int = 0
    steps_ahead: int = 0
    longer: int = 0
    partial: bool = False
    untold: int | None = None

    @property
    def dense_is_over(self) -> bool:
        """Whether the coming batch, or the one that is trained, comes after the dense run."""
        return self.dense_end is not None

    @property
    def steps_since_dense(self) -> int | None:
        """The planned steps since the dense run ended; None while it goes on."""
        return None if self.dense_end is None else self.step - self.dense_end + self.steps_ahead

    @property
    def scheduled_epoch(self) -> int:
        """The epoch of the plan that the current one is."""
        return self.epoch + self.epochs_ahead

    def scheduled(self, trainer_epoch: int) -> int:
        """The epoch of the plan that one of Lightning's is, or a number of epochs that Lightning has done."""
        return trainer_epoch - self.first_epoch + self.epochs_ahead

    def trainer_epoch(self, scheduled: int) -> int:
        """Lightning's epoch for one of the plan: the inverse of :meth:`scheduled`."""
        return scheduled + self.first_epoch - self.epochs_ahead

    def has_reached(self, trainer: "pl.Trainer", point: Duration) -> bool:
        """Whether the fit has come to a point of the dense run, such as its end; before a batch or after its step.

        Args:
            trainer: The trainer.
            point: The point, from the start of the fit.
        """
        if point.unit == "ep":
            return self.scheduled_epoch >= point.amount
        # Lightning's count and not ours: the user's max_steps, which ends the dense run, is of that one.
        return trainer.global_step - self.first_global_step >= point.amount

    def reaches_with_epoch(self, point: Duration) -> bool:
        """Whether the fit has come to a point of the dense run when the current epoch ends; never for one in steps."""
        return point.unit == "ep" and self.scheduled_epoch + 1 >= point.amount

    def begin(self, trainer: "pl.Trainer") -> None:
        """Start counting here."""
        self.first_epoch, self.first_global_step = trainer.current_epoch, trainer.global_step

    def look(self, trainer: "pl.Trainer", dense: Duration) -> None:
        """Look where the coming batch is.

        Args:
            trainer: The trainer.
            dense: The length of the dense run.
        """
        self.count_step()  # one that was made since the last batch: the module's own on_train_batch_end is after ours
        epoch = trainer.current_epoch - self.first_epoch
        if epoch != self.epoch:
            counted = self.step - self.epoch_start
            self.epoch_steps = max(counted, self.epoch_steps) if self.partial else counted
            self.epoch, self.epoch_start, self.partial = epoch, self.step, False
        if not self.dense_is_over and self.has_reached(trainer, dense):  # asked last: it needs the new epoch
            self.dense_end = self.step

    def note_step(self) -> None:
        """An optimizer has stepped; several in one batch count as one step."""
        self.stepped = True

    def count_step(self) -> None:
        """Count the step that was noted, if there is one."""
        self.step += self.stepped
        self.stepped = False

    def cut_short(self, timeline: Timeline) -> None:
        """End the phase that is under way with the current epoch, or with the current step where cycles go by steps."""
        index = 0 if self.cycle is None else self.cycle.index
        if not self.dense_is_over and timeline.dense.unit == "it":
            self.dense_end = self.step + self.stepped  # it has no end in epochs that could move: it ends here
        elif timeline.by_epochs or not self.dense_is_over:
            end = timeline.dense.amount + index * timeline.retrain.amount * timeline.by_epochs
            self.epochs_ahead += max(end - (self.scheduled_epoch + 1), 0)
        else:
            self.steps_ahead += index * timeline.retrain.amount - (self.steps_since_dense or 0) - self.stepped

    def lengthen(self, timeline: Timeline, longer: int) -> None:
        """Let the cycle that begins last longer than planned, or shorter: what comes after it moves by as much.

        Args:
            timeline: The timeline.
            longer: By how much, in the unit of its cycles; 0 for the planned length.
        """
        self.longer = longer
        if timeline.by_epochs:
            self.epochs_ahead -= longer
        else:
            self.steps_ahead -= longer

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
        """Take what :meth:`state_dict` gave, also that of a version that called some counters otherwise."""
        for name, value in with_present_names(state).items():
            setattr(self, name, value)
        if state["cycle"] is not None:
            self.cycle = Cycle(**state["cycle"])
