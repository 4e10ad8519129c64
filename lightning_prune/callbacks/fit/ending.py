"""End a phase or the fit: by the limits of Lightning's loops, by a decided stop, or after the last step.

A fit has three ways to its end. Dense runs and cycles that go by epochs have Lightning's limits. Cycles that go by
steps are stopped after the last step. Early stopping ends a phase, or the fit, before either. Only this file sets
``trainer.should_stop`` for a fit with ``IterativePruning``.
"""

from dataclasses import dataclass

import lightning.pytorch as pl

from lightning_prune.callbacks.compat.early_stopping import Stops, start_afresh
from lightning_prune.callbacks.resuming.exact_resume import reopen
from lightning_prune.callbacks.resuming.lightning_loops import Over
from lightning_prune.callbacks.timing.limits import Limits
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.timeline import Timeline


@dataclass
class Ending:
    """Decide when a fit ends.

    Attributes:
        at: The position of the fit.
        timeline: When the cycles begin.
        limits: How long Lightning trains.
        stops: What early stopping has decided.
    """

    at: Position
    timeline: Timeline
    limits: Limits
    stops: Stops

    @property
    def is_retraining(self) -> bool:
        """Whether a cycle is running that comes after the dense run, not inside it."""
        return self.at.cycle is not None and not self.timeline.inside

    @property
    def has_nothing_to_train(self) -> bool:
        """Whether the last cycle has begun, or is beginning, and no batch is left for it because it has no length."""
        at, timeline = self.at, self.timeline
        return at.cycle is not None and at.cycle.index == timeline.cycles and not at.cycle.steps and timeline.retrains

    def is_finished(self, trainer: "pl.Trainer") -> bool:
        """Whether the last cycle was trained to its end, when the fit ends: something else may have stopped it."""
        at, timeline = self.at, self.timeline
        if timeline.only_prunes and self.stops.ended:
            return True
        if not timeline.retrains and not timeline.inside and timeline.dense.unit == "it":
            return at.has_reached(trainer, timeline.dense)
        if timeline.inside and timeline.inside.unit == "it":
            return at.has_reached(trainer, timeline.inside)
        if timeline.retrains and not timeline.by_epochs:
            return self._has_made_last_step
        if self.has_nothing_to_train:
            return True
        whole = not trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return whole and at.scheduled(trainer.current_epoch) >= timeline.epochs

    def why_over(self, trainer: "pl.Trainer") -> Over:
        """The reason why the resumed epoch has no batch left although its data has. Empty if batches are left."""
        if self._ends_with_limits and self.limits.has_reached_steps(trainer, self.at):
            return "limit"
        return "stop" if self._has_made_last_step or self.stops.is_due(trainer, self.is_retraining) else ""

    def load(self, trainer: "pl.Trainer", state: dict[str, bool]) -> None:
        """Load the saved decisions of early stopping, and pass them to Lightning. Called in ``on_train_start``.

        Args:
            trainer: The trainer.
            state: The state of ``stops``.
        """
        self.stops.load_state_dict(state)
        # A stop that is due ends the epoch that is under way first, which has yet to be resumed.
        waits = self.stops.decided and not self.stops.is_due(trainer, self.is_retraining)
        if self.stops.ended or waits:
            trainer.should_stop = True

    def set_off(self, trainer: "pl.Trainer") -> None:
        """Set the limits, when it is known where the fit is.

        Args:
            trainer: The trainer, in ``on_train_start``.
        """
        self.at.look(trainer, self.timeline.dense)
        within_epoch = trainer.fit_loop.restarted_mid_epoch  # which has to end first
        over = self.at.dense_is_over and not self._ends_with_limits
        if over or not (within_epoch and self.limits.has_reached_steps(trainer, self.at)):
            self.follow(trainer, over)
        if not within_epoch:
            self._stop_when_done(trainer)

    def begin_cycle(self, trainer: "pl.Trainer") -> None:
        """Give early stopping its whole patience again, where it ends phases: a sparser network is another one."""
        if self.stops.phases:
            start_afresh(trainer)

    def end_batch(self, trainer: "pl.Trainer") -> None:
        """Move the limits if the dense run ends with this batch, and end the run after its last step."""
        if not self.at.dense_is_over and self.at.has_reached(trainer, self.timeline.dense):
            self.follow(trainer, over=True)
        self._stop_when_done(trainer)

    def end_epoch(self, trainer: "pl.Trainer") -> None:
        """Obey a stop, move the limits if the dense run ends with this epoch, and end the run if that is over."""
        self._obey(trainer)  # first: the dense run may end with this epoch because of the stop
        dense, inside = self.timeline.dense, self.timeline.inside
        if not inside and not self.at.dense_is_over and self.at.reaches_with_epoch(dense):
            self.follow(trainer, over=True)
        self._stop_when_done(trainer)

    def note_stop(self, trainer: "pl.Trainer") -> None:
        """Note that early stopping has decided to stop. A stop that a validation decides waits for the epoch's end."""
        self.stops.decided = True
        if not trainer.validating:
            self._obey(trainer)

    def follow(self, trainer: "pl.Trainer", over: bool) -> None:
        """Set Lightning's limits to those of the dense run, or of the whole run once that is over."""
        if over and self.timeline.cycles and self.at.cycle is None and self.stops.phases and self.stops.decided:
            # The dense run was to stop once its least length is trained, and has come to its end before that.
            self.stops.decided = trainer.should_stop = False
        self.limits.follow(trainer, self.at, self.timeline, over)

    def _obey(self, trainer: "pl.Trainer") -> None:
        """What early stopping has decided ends the phase, or the fit, with this epoch."""
        reopen(trainer)  # first: whether the batch is the last one of the data is asked below, and by Lightning
        if not self.stops.is_due(trainer, self.is_retraining):
            return
        self.stops.decided = False
        trainer.should_stop = self.stops.ended = not self.stops.phases
        if self.stops.phases:
            self.at.partial = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
            self.at.cut_short(self.timeline)
            self.follow(trainer, over=True)  # the limits are those of the plan, which has just moved
            self._stop_when_done(trainer)

    def _stop_when_done(self, trainer: "pl.Trainer") -> None:
        """End a run in steps after its last step. A run in epochs ends by its limit."""
        if self.timeline.retrains and self.timeline.by_epochs:  # asked first, for every step
            return
        if self._ends_with_limits and self.limits.has_reached_steps(trainer, self.at):
            self.follow(trainer, over=False)  # Lightning ends it by the user's max_steps
        elif self._has_made_last_step:
            trainer.should_stop = True

    @property
    def _ends_with_limits(self) -> bool:
        """Whether the user's limits are those of the whole fit: no cycle comes after the dense run."""
        return not self.timeline.retrains

    @property
    def _has_made_last_step(self) -> bool:
        """Whether the last step of the last cycle is made. Never true in a run that ends by its limits."""
        if self.timeline.by_epochs or not self.timeline.retrains:
            return False
        return self.timeline.index(0, self.at.steps_since_dense) > self.timeline.cycles
