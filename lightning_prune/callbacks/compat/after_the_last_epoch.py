"""Validate and save a network that was pruned after the last epoch of a fit."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_prune.callbacks.companions.cycle_checkpoint import CycleCheckpoint
from lightning_prune.callbacks.compat.namespaces import everywhere


def validate(trainer: "pl.Trainer") -> None:
    """Run the validation loop of a fit once more, with all its hooks. Its metrics are logged as of the coming epoch.

    Checkpoints are not saved meanwhile: see :func:`save_again`.

    Args:
        trainer: The trainer, in ``on_train_end``. Nothing happens if the fit does not validate.
    """
    if not trainer.enable_validation:
        return
    for callback in _saving(trainer):
        callback._last_global_step_saved = trainer.global_step  # as if it had saved what is not validated yet
    loop, connector = trainer.fit_loop.epoch_loop.val_loop, trainer._logger_connector
    first_loop_iter = connector._first_loop_iter
    trainer.validating = True
    if trainer.val_dataloaders is None:  # no epoch of this fit was validated
        loop.setup_data()
    loop.restarting = False
    loop.run()  # which skips itself without batches
    trainer.training = True
    connector._first_loop_iter = first_loop_iter


def leave_before_batches(trainer: "pl.Trainer") -> None:
    """End the fit in the moment in which an epoch begins, without training it.

    Args:
        trainer: The trainer, in ``on_train_epoch_start``, or in ``on_train_batch_start`` of the first batch.

    Raises:
        StopIteration: Lightning's loops end with it as with the end of the data.
    """
    progress = trainer.fit_loop.epoch_progress
    if progress.current.ready > progress.current.started:  # type: ignore[attr-defined]  # it is not trained
        progress.current.ready -= 1
        progress.total.ready -= 1
    raise StopIteration


def save_again(trainer: "pl.Trainer") -> None:
    """Let every ``ModelCheckpoint`` that saves by epochs save the network as it is now.

    Args:
        trainer: The trainer, in ``on_train_end``.
    """
    for callback in _saving(trainer):
        if trainer.fast_dev_run or callback._every_n_epochs < 1:  # type: ignore[attr-defined]
            continue
        callback._last_global_step_saved = 0
        candidates = callback._monitor_candidates(trainer)
        if callback.monitor is None or callback.monitor in candidates:
            callback._save_topk_checkpoint(trainer, candidates)
        if isinstance(callback, CycleCheckpoint):
            callback.save_last_of_cycle(trainer)
        else:
            callback._save_last_checkpoint(trainer, candidates)


def _saving(trainer: "pl.Trainer") -> list[ModelCheckpoint]:
    kinds = everywhere(ModelCheckpoint)
    return [callback for callback in trainer.callbacks if isinstance(callback, kinds)]  # type: ignore[attr-defined]
