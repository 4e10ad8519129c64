"""How long Lightning trains: the limits of its loops, moved for the cycles and put back afterwards."""

import math

import lightning.pytorch as pl

from lightning_prune.callbacks.position import Position
from lightning_prune.callbacks.timeline import Rewind, Timeline, plan
from lightning_prune.durations import Duration


class Limits:
    """The limits of a fit.

    The user's limits stay in force during the dense run, so that whatever looks at ``trainer.max_epochs`` there sees
    what it would see without the callbacks. They are moved when the dense run is over.

    Args:
        trainer: The trainer, before it trains.

    Raises:
        ValueError: If the dense run has no end.
    """

    def __init__(self, trainer: "pl.Trainer") -> None:
        self.max_epochs = -1 if trainer.max_epochs is None else trainer.max_epochs
        self.max_steps = trainer.max_steps
        if self.max_epochs == -1 and self.max_steps == -1:
            raise ValueError(
                "IterativePruning prunes when the dense run is over, but Trainer(max_epochs=-1) never is. Give the "
                "length of the dense run, for instance Trainer(max_epochs=30)."
            )

    def dense(self, per_epoch: int | None) -> Duration:
        """The length of the dense run, by whichever limit comes first.

        Args:
            per_epoch: Optimizer steps in an epoch; None if unknown.
        """
        in_steps = self.max_steps != -1 and (
            self.max_epochs == -1 or per_epoch is None or self.max_steps < self.max_epochs * per_epoch
        )
        return Duration(self.max_steps, "it") if in_steps else Duration(self.max_epochs, "ep")

    def plan(self, trainer: "pl.Trainer", retrain: str | int | None, cycles: int, rewind: Rewind | None) -> Timeline:
        """Lay out the run, when its data is loaded.

        Args:
            trainer: The trainer.
            retrain: The length of a cycle as the user gave it, or None.
            cycles: How many cycles.
            rewind: Where every cycle goes back to, if anywhere.

        Returns:
            The timeline; of a ``fast_dev_run`` cycles of one step.

        Raises:
            ValueError: If the lengths do not fit together.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return Timeline(Duration(1, "ep"), Duration(1, "it"), cycles)
        per_epoch = steps_per_epoch(trainer)
        dense = self.dense(per_epoch)
        if dense.unit == "it" and len(trainer.optimizers) > 1:
            raise ValueError(
                f"Trainer(max_steps={self.max_steps}) counts the steps of all {len(trainer.optimizers)} optimizers "
                "together, which is no length of the dense run in batches. Give Trainer(max_epochs=...)."
            )
        return plan(dense, retrain, cycles, rewind, per_epoch)

    def hold_back(self, trainer: "pl.Trainer") -> bool:
        """Whether the user's limits would end the fit before it begins: another fit came before, or no dense run."""
        epochs = self.max_epochs != -1 and trainer.current_epoch >= self.max_epochs
        return epochs or (self.max_steps != -1 and trainer.global_step >= self.max_steps)

    def lift(self, trainer: "pl.Trainer") -> None:
        """Let the fit begin, whatever was trained before; :meth:`follow` sets the limits when that is known."""
        _set(trainer, -1, -1)

    def follow(self, trainer: "pl.Trainer", at: Position, timeline: Timeline, over: bool) -> None:
        """Set the limits of the dense run, or those of the whole run once it is over.

        Args:
            trainer: The trainer.
            at: Where it is.
            timeline: What is to come.
            over: Whether the dense run is over.
        """
        if not over:
            epochs = -1 if self.max_epochs == -1 else at.first_epoch + self.max_epochs
            _set(trainer, epochs, -1 if self.max_steps == -1 else at.first_global_step + self.max_steps)
        elif timeline.by_epochs:
            _set(trainer, at.first_epoch + timeline.epochs - at.cut_epochs, -1)
        else:
            _set(trainer, -1, -1)  # the last step of the last cycle ends the fit

    def put_back(self, trainer: "pl.Trainer") -> None:
        """Set the limits that the user gave."""
        _set(trainer, self.max_epochs, self.max_steps)


def steps_per_epoch(trainer: "pl.Trainer") -> int | None:
    """Optimizer steps in an epoch of a fit whose data is loaded; None if the data has no length."""
    batches = trainer.num_training_batches
    return None if math.isinf(batches) else math.ceil(batches / trainer.accumulate_grad_batches)


def _set(trainer: "pl.Trainer", max_epochs: int, max_steps: int) -> None:
    trainer.fit_loop.max_epochs = max_epochs
    trainer.fit_loop.epoch_loop.max_steps = max_steps
