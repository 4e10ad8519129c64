"""The base class of starting points that remember something at the rewind point of the dense run."""

from abc import abstractmethod
from typing import Any

import lightning.pytorch as pl

from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.schedules.durations import Duration


class AtThePoint(StartingPoint):
    """Takes something once, at the rewind point of the dense run, whichever hook reaches the point first."""

    rewind_point: Duration

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        # If the fit is resumed, the hooks below take it: a fit without an interruption may have ended at this point.
        if trainer.ckpt_path is None:
            self._take_if_due(trainer, pl_module)

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._take_if_due(trainer, pl_module)

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._take_if_due(trainer, pl_module)

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._take_if_due(trainer, pl_module)  # early stopping may end the dense run at the point

    @property
    @abstractmethod
    def has_taken(self) -> bool:
        """Whether it was taken."""

    @abstractmethod
    def take(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Take what the cycles go back to.

        Args:
            trainer: The trainer, at the rewind point.
            pl_module: The network.
        """

    def _take_if_due(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        now = self.clock.step if self.rewind_point.unit == "it" else self.clock.epoch
        due = now >= self.rewind_point.amount or trainer.fast_dev_run  # type: ignore[attr-defined]  # it never gets anywhere
        if due and not self.has_taken and self.clock.cycle is None:
            self.take(trainer, pl_module)
