"""Move the limits of Lightning's loops for the cycles, and put them back afterwards."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Timer

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.timing.plan import Rewind, plan
from lightning_prune.callbacks.timing.plan_gradual import plan_inside
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.step_counts import (
    has_length,
    scheduling,
    steps_of_epoch,
    steps_per_epoch,
    windows,
)
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.schedules.durations import Duration


class Limits:
    """The limits of a fit.

    The user's limits stay in force during the dense run, so that whatever looks at ``trainer.max_epochs`` there sees
    what it would see without the callbacks. They are moved when the dense run is over.

    Args:
        trainer: The trainer, before it trains.

    Raises:
        ValueError: If the dense run has no end, or nothing is trained.
    """

    def __init__(self, trainer: "pl.Trainer") -> None:
        self.max_epochs = -1 if trainer.max_epochs is None else trainer.max_epochs
        self.max_steps = trainer.max_steps
        self.min_epochs, self.min_steps = trainer.min_epochs, trainer.min_steps
        self._first_epoch = self._first_step = 0
        if self.max_epochs == -1 and self.max_steps == -1:
            raise UserError(_endless(trainer))
        if trainer.limit_train_batches == 0:
            raise UserError(
                "IterativePruning prunes after a dense run, but Trainer(limit_train_batches=0) trains nothing. Leave "
                "limit_train_batches out, or IterativePruning."
            )

    def count_from(self, epoch: int, step: int) -> None:
        """Note where the fit began, which is not 0 for a second fit of a Trainer.

        As in Lightning, the limits count from the first fit. A fit that Lightning would not begin at all gets the whole
        dense run.

        Args:
            epoch: Lightning's epoch at its start.
            step: Lightning's step at its start.
        """
        self._first_epoch, self._first_step = epoch, step

    @property
    def _epochs(self) -> int:
        return _ahead(self.max_epochs, self._first_epoch)

    @property
    def _steps(self) -> int:
        return _ahead(self.max_steps, self._first_step)

    def dense(self, trainer: "pl.Trainer") -> Duration:
        """The length of the dense run, by whichever limit comes first.

        Args:
            trainer: The trainer, when its data is loaded.

        Raises:
            ValueError: If nobody can tell which one that is.
        """
        if self.max_steps == -1:
            return Duration(self._epochs, "ep")
        if self.max_epochs == -1:
            return Duration(self._steps, "it")
        if not has_length(trainer):
            raise UserError(
                f"Trainer(max_epochs={self.max_epochs}, max_steps={self.max_steps}) ends the dense run by whichever "
                "comes first, but the training data has no length, so IterativePruning cannot tell which one that is. "
                "Give one of the two."
            )
        epochs = range(self._first_epoch, self._first_epoch + self._epochs)
        in_epochs = sum(steps_of_epoch(trainer, epoch) or 0 for epoch in epochs)
        return Duration(self._steps, "it") if self._steps < in_epochs else Duration(self._epochs, "ep")

    def plan(
        self,
        trainer: "pl.Trainer",
        retrain: str | int | None,
        cycles: int,
        rewind: Rewind | None,
        before: Duration | None = None,
        during: str | None = None,
    ) -> Timeline:
        """Lay out the run, when its data is loaded.

        Args:
            trainer: The trainer.
            retrain: The length of a cycle as the user gave it, or None.
            cycles: How many cycles.
            rewind: Where every cycle goes back to, if anywhere.
            before: The length of the dense run that came before the fit, where one did.
            during: The span of the dense run that the cycles lie in, if they do.

        Returns:
            The timeline. In a ``fast_dev_run`` each cycle has one step.

        Raises:
            ValueError: If the lengths do not fit together.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return Timeline(Duration(1, "ep"), Duration(1, "it"), cycles)
        dense = self.dense(trainer)
        if dense.unit == "it" and len(trainer.optimizers) > 1:
            raise UserError(
                f"Trainer(max_steps={self.max_steps}) counts the steps of all {len(trainer.optimizers)} optimizers "
                "together, which is no length of the dense run in batches. Give Trainer(max_epochs=...)."
            )
        if during is not None:
            _refuse_several(trainer, during)
            return plan_inside(dense, during, retrain, cycles, steps_per_epoch(trainer))
        timeline = plan(dense, retrain, cycles, rewind, steps_per_epoch(trainer), before)
        if timeline.retrain.unit == "ep" and not has_length(trainer) and len(windows(trainer)) > 1:
            raise UserError(
                f"GradientAccumulationScheduler(scheduling={scheduling(trainer)}) changes how many batches a step "
                "takes, and the training data has no length, so IterativePruning cannot tell how many steps a cycle of "
                f"retrain='{timeline.retrain}' has. Give retrain in steps, for instance retrain='500it'."
            )
        return timeline

    def hold_back(self, trainer: "pl.Trainer") -> bool:
        """Whether the user's limits would end the fit before it begins: another fit came before, or no dense run."""
        epochs = self.max_epochs != -1 and trainer.current_epoch >= self.max_epochs
        return epochs or (self.max_steps != -1 and trainer.global_step >= self.max_steps)

    def lift(self, trainer: "pl.Trainer") -> None:
        """Let the fit begin, whatever was trained before. Later :meth:`follow` sets the limits."""
        set_limits(trainer, -1, -1)

    def follow(self, trainer: "pl.Trainer", at: Position, timeline: Timeline, over: bool) -> None:
        """Set the limits of the dense run, or those of the whole run once it is over.

        Args:
            trainer: The trainer.
            at: Where it is.
            timeline: What is to come.
            over: Whether the dense run is over.
        """
        if not over or not timeline.retrains:
            # The user's own limits, counted from the start of this fit. A stop that ends a dense run without cycles
            # moves the end of the epochs, hence the epoch of the plan.
            epochs = -1 if self.max_epochs == -1 else at.trainer_epoch(self._epochs)
            set_limits(trainer, epochs, -1 if self.max_steps == -1 else at.first_global_step + self._steps)
            return
        # The least that the user asked for is of the dense run, too, and would keep the last cycle from ending.
        self._set_least(trainer, 0, None)
        if timeline.by_epochs:
            set_limits(trainer, at.trainer_epoch(timeline.epochs), -1)
        else:
            # Lightning's count of steps is not ours where a GradScaler skips some, so no max_steps says when it is
            # over: the last step of the last cycle stops the fit.
            set_limits(trainer, -1, -1)

    def has_reached_steps(self, trainer: "pl.Trainer", at: Position) -> bool:
        """Whether the user's ``max_steps`` are done."""
        return self.max_steps != -1 and trainer.global_step - at.first_global_step >= self._steps

    def put_back(self, trainer: "pl.Trainer") -> None:
        """Set the limits that the user gave."""
        set_limits(trainer, self.max_epochs, self.max_steps)
        self._set_least(trainer, self.min_epochs, self.min_steps)

    @staticmethod
    def _set_least(trainer: "pl.Trainer", min_epochs: int | None, min_steps: int | None) -> None:
        trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = min_epochs, min_steps


def set_limits(trainer: "pl.Trainer", max_epochs: int, max_steps: int) -> None:
    """Set the limits of Lightning's loops. Only this function sets them.

    Args:
        trainer: The trainer.
        max_epochs: The number of epochs, counted by Lightning. -1 for no limit.
        max_steps: The number of optimizer steps, counted by Lightning. -1 for no limit.
    """
    trainer.fit_loop.max_epochs = max_epochs
    trainer.fit_loop.epoch_loop.max_steps = max_steps


def _ahead(limit: int, first: int) -> int:
    """The part of a limit that is still to come. The whole limit if it is reached already."""
    return limit - first if limit > first else limit


def _refuse_several(trainer: "pl.Trainer", during: str) -> None:
    if during.strip().endswith("it") and len(trainer.optimizers) > 1:
        raise UserError(
            f"IterativePruning(during={during!r}) counts the steps of all {len(trainer.optimizers)} optimizers "
            "together, which is no length in batches. Give the span in epochs."
        )


def _endless(trainer: "pl.Trainer") -> str:
    timed = any(isinstance(callback, everywhere(Timer)) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    given = "a limit of time alone (max_time, Timer) ends the whole fit" if timed else "Trainer(max_epochs=-1) never is"
    return (
        f"IterativePruning prunes when the dense run is over, but {given}. Give the length of the dense run, for "
        "instance Trainer(max_epochs=30)."
    )
