"""Repair Lightning's loop counters after a resume.

A checkpoint is saved at one of five moments, and Lightning 2.6 resumes each in its own way. If the checkpoint was saved
after the last batch of an epoch, Lightning leaves out the validation and the end of this epoch. If it was saved when an
epoch began, Lightning leaves out all batches of the epoch. If it was saved at the end of an epoch, Lightning leaves out
the step of a ``ReduceLROnPlateau``. This module sets the counters of the loops so that nothing is left out. The
counters are private to Lightning, so the tests resume from every one of these moments.
"""

from collections.abc import Callable
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.loops.evaluation_loop import RestartStage as EvaluationStage
from lightning.pytorch.loops.training_epoch_loop import RestartStage as EpochStage

from lightning_prune.callbacks.compat.namespaces import everywhere

Over = Literal["", "stop", "limit"]  # why an epoch has no batch left: a stop, which is validated first, or max_steps


def settle(trainer: "pl.Trainer", over: Over = "") -> Callable[[], None] | None:
    """Let a resumed fit do what the saved fit had still to do. In ``on_train_start`` a second call does nothing.

    Args:
        trainer: The trainer. The counters of its loops are changed.
        over: The reason why the running epoch has no batch left although its data has. Empty if batches are left.

    Returns:
        The function to call when this epoch ends. None if there is nothing to call.
    """
    fit = trainer.fit_loop
    if not fit.is_resuming:
        return None
    _load_loaders(trainer)
    window, trainer.accumulate_grad_batches = trainer.accumulate_grad_batches, window_of(trainer)
    undo = None
    last, at_batch_end = fit.epoch_loop.batch_progress.is_last_batch, fit.epoch_loop.restarted_on_train_batch_end
    if over and fit.restarted_mid_epoch and (at_batch_end or not last or _validated_by_stop(trainer)):
        undo = _end_epoch(trainer, over)
    elif fit.restarted_on_epoch_start:
        _begin_epoch(trainer)
    elif fit.epoch_loop.restarted_on_train_batch_end:
        _finish_batch(trainer)
    elif fit.resumed_on_epoch_end or fit.restarted_on_epoch_end:
        _finish_epoch(trainer)
    # From here on it is a fit like any other: a plateau schedule steps at the end of the epoch, and the next epoch
    # makes an iterator of its own.
    fit._restarting = False
    fit._resuming_from_checkpoint = False
    trainer.accumulate_grad_batches = window  # GradientAccumulationScheduler refuses another one when training starts
    return undo


def window_of(trainer: "pl.Trainer") -> int:
    """How many batches a step takes in the current epoch: ``GradientAccumulationScheduler`` says so when one begins.

    Args:
        trainer: The trainer.
    """
    window = trainer.accumulate_grad_batches
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, everywhere(GradientAccumulationScheduler)):
            window = callback.get_accumulate_grad_batches(trainer.current_epoch)
    return window


def close_validation(trainer: "pl.Trainer") -> None:
    """Undo what :func:`settle` did for an epoch without batches left. Called when the next epoch begins."""
    if not trainer.fit_loop.restarting:
        trainer.fit_loop.epoch_loop.restarting = False


def _load_loaders(trainer: "pl.Trainer") -> None:
    """Give the data loaders their states.

    Lightning does so within an epoch only, and only if nobody asked for the number of steps before.
    """
    fit = trainer.fit_loop
    states, loaders = fit._combined_loader_states_to_load, fit._combined_loader
    if states and loaders is not None and fit._data_fetcher is not None:
        loaders._load_state_dicts(states)
        fit._combined_loader_states_to_load = []
        iter(fit._data_fetcher)


def _validated_by_stop(trainer: "pl.Trainer") -> bool:
    """Whether the last batch was validated only because the fit stops, which Lightning does not know after a resume."""
    fit = trainer.fit_loop
    return not fit.epoch_loop._should_check_val_fx(fit._data_fetcher)  # type: ignore[arg-type]


def _begin_epoch(trainer: "pl.Trainer") -> None:
    """The epoch had not begun: none of its batches is done."""
    epoch = trainer.fit_loop.epoch_loop
    epoch.batch_progress.reset_on_run()
    epoch.scheduler_progress.reset_on_run()
    epoch.automatic_optimization.optim_progress.reset_on_run()
    epoch.restarting = False


def _end_epoch(trainer: "pl.Trainer", over: Over) -> Callable[[], None]:
    """Nothing comes but what the last batch had still to do, and the end of the epoch."""
    epoch, interval = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    progress = epoch.batch_progress
    last = progress.is_last_batch
    if epoch.restarted_on_train_batch_end:
        due = over == "stop" or epoch._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        trainer.val_check_batch = float("inf") if due else progress.total.ready + 1
        progress.is_last_batch = True
        _finish_batch(trainer)
    else:  # it was validated
        if not epoch._should_accumulate():
            epoch.update_lr_schedulers("step", update_plateau_schedulers=True)
            epoch._batches_that_stepped += 1
        epoch.val_loop._has_run = True
        progress.is_last_batch = True

    def undo() -> None:
        progress.is_last_batch, trainer.val_check_batch = last, interval

    return undo


def _finish_batch(trainer: "pl.Trainer") -> None:
    """The batch was done, but not what comes after it."""
    fit, epoch = trainer.fit_loop, trainer.fit_loop.epoch_loop
    last = epoch.batch_progress.is_last_batch
    total = fit.epoch_progress.total
    if total.processed == total.started:  # type: ignore[attr-defined]  # Lightning has counted the epoch as done
        for progress in (fit.epoch_progress.total, fit.epoch_progress.current):
            progress.processed -= 1  # type: ignore[attr-defined]
            progress.completed = progress.processed  # type: ignore[attr-defined]
    if epoch._should_check_val_fx(fit._data_fetcher):  # type: ignore[arg-type]
        epoch.val_loop.restarting = False
        epoch.val_loop._restart_stage = EvaluationStage.RESTARTED_MID_EVALUATION  # it returns to the validation
    else:
        epoch.update_lr_schedulers("step", update_plateau_schedulers=True)
        if not last:
            return
        epoch.val_loop._has_run = True
        epoch._batches_that_stepped += 1
    epoch.batch_progress.increment_completed()
    epoch._restart_stage = EpochStage.RESTARTED_ON_LAST  # or it would count the batch once more


def _finish_epoch(trainer: "pl.Trainer") -> None:
    """The epoch was done but for its plateau schedules, which need what was measured in it."""
    fit = trainer.fit_loop
    if fit.epoch_loop._num_ready_batches_reached():
        fit.epoch_progress.current.completed -= 1  # the schedules count the epochs that are done
        fit.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
        fit.epoch_progress.current.completed += 1
