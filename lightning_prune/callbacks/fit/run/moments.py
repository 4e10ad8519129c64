"""One fit of ``IterativePruning``: what is done at each moment, from its start to its end.

The methods are named for the moments and called by the hooks of the callback: ``batch_begins``, ``batch_ended`` and so
on. A new cycle begins in the first of its batches, or when the epoch of that batch begins.
"""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer

from lightning_prune.callbacks.companions.shrink import whole_network
from lightning_prune.callbacks.compat.backbone_finetuning import settle_unfreezing
from lightning_prune.callbacks.compat.early_stopping import leave_stops, note_stops
from lightning_prune.callbacks.fit.dense_run import DenseRun
from lightning_prune.callbacks.fit.finite import refuse_diverged
from lightning_prune.callbacks.fit.run.due_cycles import begin_all, catch_up, prune_at_the_end
from lightning_prune.callbacks.fit.run.parts_of_fit import PartsOfFit
from lightning_prune.callbacks.fit.run.show_last import show_last
from lightning_prune.callbacks.fit.run.start_or_resume import resume_fit, start_fit
from lightning_prune.selection.sharding import reshard


class Run(PartsOfFit):
    """A fit."""

    def start(self, trainer: "pl.Trainer", before: DenseRun, masks: str | Path | None) -> None:
        """Begin a fit that is not resumed. See :func:`start_fit`, which says what it takes and raises."""
        start_fit(self, trainer, before, masks)

    def resume(self, trainer: "pl.Trainer", saved: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken. See :func:`resume_fit`, which says what it takes and raises."""
        resume_fit(self, trainer, saved)

    def set_off(self, trainer: "pl.Trainer") -> None:
        """Let the fit begin, or go on, when it is known where it is.

        Raises:
            ValueError: If a callback unfreezes prunable weights too late.
        """
        settle_unfreezing(trainer, self.record.selected, self.timeline, self.at.first_epoch)
        note_stops(trainer)
        self.ending.set_off(trainer)
        self.record.write(trainer, finished=False)

    def let_go(self, trainer: "pl.Trainer") -> None:
        """Take away what hangs on the optimizers and on other callbacks: the fit is over, or has failed."""
        leave_stops(trainer)
        self.hold.remove()

    def epoch_begins(self, trainer: "pl.Trainer") -> None:
        """Before the first batch of an epoch: begin what begins with it, so that other callbacks see it there."""
        self.epoch_began = time.perf_counter()
        catch_up(self, trainer)

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        """Before a batch is trained: show once that pruning will work, now that the module has prepared itself.

        Raises:
            ValueError: If it will not.
        """
        if self.to_rehearse:
            self.pruner.rehearse(self.to_rehearse, trainer)
            self.to_rehearse = ()
        self.hold.finish_batch_()  # once more: hooks that come after ours may have written since the last batch
        catch_up(self, trainer)

    def backward_ended(self, trainer: "pl.Trainer") -> None:
        """After a backward pass: who optimizes by hand may clip at once, before any other hook of ours."""
        if not trainer.lightning_module.automatic_optimization:
            self.trained.note()
            self.hold.mask_gradients_()

    def step_begins(self, trainer: "pl.Trainer", optimizer: Optimizer) -> None:
        """Before an optimizer steps: dead weights have no part in what is made of the gradients."""
        if self.hold.has_masks and self.hold.readers.are_there(trainer, optimizer):
            self.hold.mask_gradients_()

    def batch_ended(self, trainer: "pl.Trainer", steps_are_seen: bool) -> None:
        """After a batch: count its step, and look whether the dense run or the fit ends with it."""
        self.hold.finish_batch_(steps_are_seen)
        self.at.count_step()  # before the question below, and before anybody saves
        self.ending.end_batch(trainer)

    def epoch_ended(self, trainer: "pl.Trainer") -> None:
        """After an epoch: move the limits if the dense run ends with it, end the run if that is over, and log."""
        seconds = time.perf_counter() - self.epoch_began
        self.ending.end_epoch(trainer)
        self.record.log_epoch(trainer.lightning_module, self.at.cycle, self.pruner.tally(), seconds)

    def train_ended(self, trainer: "pl.Trainer") -> None:
        """At the end of the fit: look at what came of the last cycle, and write down whether it was trained to its end.

        A cycle without a length begins here, after all that the dense run has validated and saved.

        Raises:
            ValueError: If it was, and its weights are NaN or infinite.
        """
        finished = self.ending.is_finished(trainer)
        if finished and self.timeline.only_prunes and (self.at.cycle is None or self.at.untold is not None):
            prune_at_the_end(self, trainer)
        elif self.ending.has_nothing_to_train and (self.at.untold is not None or not self.shown):
            with whole_network(trainer, self.pruner, self.hold):
                begin_all(self, trainer, range(0))  # resumed from a checkpoint that was saved while it began
            show_last(trainer, self.at, self.record, self.pruner.tally())
        if finished and self.at.cycle is not None:
            reshard(trainer.lightning_module)
            refuse_diverged(trainer.lightning_module, self.at.cycle)
        self.record.write(trainer, finished)
