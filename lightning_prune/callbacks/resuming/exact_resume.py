"""Save what Lightning does not save, so that a resumed run goes on like an uninterrupted one."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from lightning_prune.basics.random_state import put_back, take
from lightning_prune.basics.renamed import states_under_present_names
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import clock_of
from lightning_prune.callbacks.compat.early_stopping import has_stopped
from lightning_prune.callbacks.compat.namespaces import in_both_namespaces, join_namespaces
from lightning_prune.callbacks.compat.skipped_hooks import skip, skip_empty, stop_skipping
from lightning_prune.callbacks.compat.weight_averaging import put_back_averages
from lightning_prune.callbacks.resuming import lightning_loops
from lightning_prune.callbacks.resuming.damaged_checkpoints import keep_saved, save_again
from lightning_prune.callbacks.resuming.moment import refuse_moment
from lightning_prune.callbacks.resuming.slurm import Requeue
from lightning_prune.callbacks.resuming.unrounded import Unrounded
from lightning_prune.callbacks.settings.described import describe_call


@in_both_namespaces
class ExactResume(Callback):
    """Resume exactly, wherever the run was stopped. ``IterativePruning`` adds this callback by itself.

    Lightning saves weights, optimizers, schedules and counters. This callback also saves each process's random state,
    the metrics that a ``ReduceLROnPlateau`` monitors, and the gradients of an incomplete window of
    ``accumulate_grad_batches``. SLURM's signal to requeue waits until the end of the batch.

    A run that is resumed from the end of an epoch has the same shuffling, augmentation and dropout as an uninterrupted
    run. A run that is resumed within an epoch has the same too, if the data loader keeps its place (torchdata's
    ``StatefulDataLoader``).

    If the number of processes has changed, each process takes over the random state of the saved process of the same
    rank. Additional processes keep their own random state. The gradients of an incomplete window can be saved on one
    process only.

    Raises:
        RuntimeError: If a checkpoint is saved within a batch or a validation, because a resumed run would leave this
            batch or validation out. The weights alone (``trainer.save_checkpoint(..., weights_only=True)``) can be
            saved anywhere.
        ValueError: If the checkpoint that a fit resumes from was made with ``IterativePruning``, and there is none.

    Example:
        >>> trainer = pl.Trainer(callbacks=[ExactResume()], logger=False)  # a dense run that resumes exactly
    """

    def __init__(self) -> None:
        join_namespaces()
        self._loaded: dict[str, Any] = {}
        self._rounded: dict[str, torch.Tensor] = {}
        self._averaged: dict[str, torch.Tensor] = {}
        self._scalars: Unrounded | None = None
        self._requeue: Requeue | None = None
        self._reopen: Callable[[], None] | None = None
        self._stops_with_epoch = False

    def __repr__(self) -> str:
        return describe_call(self)

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self._loaded, self._rounded, self._averaged, self._scalars = {}, {}, {}, None
        stop_skipping(self)
        if stage == "fit":
            trainer.callbacks = sorted(trainer.callbacks, key=lambda one: one is self)  # type: ignore[attr-defined]
            keep_saved(trainer)

    def on_load_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        # Before Lightning looks for the state of each callback by the name of its class.
        checkpoint["callbacks"] = states_under_present_names(checkpoint.get("callbacks", {}))
        if trainer.state.fn == TrainerFn.FITTING:
            _refuse_without_clock(trainer, checkpoint)
            self._scalars = Unrounded(checkpoint, pl_module)
        # Beside WeightAveraging the "state_dict" is that of the average.
        saved, own = checkpoint.get("current_model_state", checkpoint.get("state_dict", {})), pl_module.state_dict()
        finer = {name for name in own.keys() & saved.keys() if saved[name].dtype.itemsize > own[name].dtype.itemsize}
        self._rounded = {name: saved[name] for name in finer}
        self._averaged = checkpoint["state_dict"] if "current_model_state" in checkpoint else {}

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._sharpen(pl_module)  # under 64-true Lightning loads into float32, and makes that double afterwards
        self._put_back(trainer)

    def settle(self, trainer: "pl.Trainer", over: lightning_loops.Over = "") -> None:
        """Repair Lightning's loop counters. The first code that needs them in ``on_train_start`` calls this."""
        trainer._logger_connector._callback_metrics.update(self._loaded.get("metrics", {}))
        self._reopen = lightning_loops.settle(trainer, over) or self._reopen

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        resumed = trainer.ckpt_path is not None
        self._go_on_to_stop(trainer)
        self._sharpen(pl_module)  # a validation before training swaps weights and averages of another type
        put_back_averages(trainer, self._averaged)
        self._rounded, self._averaged = {}, {}
        for name, gradient in self._loaded.get("gradients", {}).items():
            parameter = pl_module.get_parameter(name)
            parameter.grad = gradient.to(parameter)
        if self._scalars is not None:
            self._scalars.put_back_(trainer.optimizers)
            self._scalars = None
            trainer.accumulate_grad_batches = lightning_loops.window_of(trainer)
        self._put_back(trainer)  # what was done since on_fit_start may have drawn
        if self._loaded and not resumed:  # a dense run before this fit: what comes now is its next epoch
            iter(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        self._loaded = {}
        self._requeue = Requeue(trainer)
        skip_empty(self)
        if not self._requeue.is_on:
            skip(self, ExactResume, "on_train_batch_end")

    def on_train_batch_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        save_again(trainer)
        skip(self, ExactResume, "on_train_batch_start")  # the first batch has begun

    def on_train_batch_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._obey(trainer)

    def on_validation_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._obey(trainer)

    def on_train_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._let_go()

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._let_go()

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self.reopen()
        if self._stops_with_epoch:
            self._stops_with_epoch, trainer.should_stop = False, True

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        lightning_loops.close_validation(trainer)

    def reopen(self) -> None:
        """At the end of an epoch: undo what :meth:`settle` did to end it, before Lightning asks if it was whole."""
        if self._reopen is not None:
            self._reopen()
            self._reopen = None

    def on_save_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        refuse_moment(trainer)
        generators: list[Any] = [take()]
        if trainer.world_size > 1:
            mine, generators = generators[0], [None] * trainer.world_size
            torch.distributed.all_gather_object(generators, mine)
        checkpoint["callbacks"][self.state_key] = {
            "generators": generators,
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items()},
            "gradients": _unfinished(trainer, pl_module),
            "stopped": clock_of(trainer.callbacks) is None and has_stopped(trainer),  # type: ignore[attr-defined]
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def _go_on_to_stop(self, trainer: "pl.Trainer") -> None:
        """Settle. A stop that was decided within an epoch still ends this epoch first."""
        fit, stopped = trainer.fit_loop, bool(self._loaded.get("stopped"))
        self._stops_with_epoch = stopped and fit.restarted_mid_epoch and fit._can_stop_early
        self.settle(trainer, "stop" if self._stops_with_epoch else "")
        if stopped and not self._stops_with_epoch:
            trainer.should_stop = True

    def _obey(self, trainer: "pl.Trainer") -> None:
        if self._requeue is not None:
            self._requeue.obey(trainer)

    def _let_go(self) -> None:
        stop_skipping(self)
        if self._requeue is not None:
            self._requeue.remove()
            self._requeue = None

    def _sharpen(self, module: "pl.LightningModule") -> None:
        own = module.state_dict() if self._rounded else {}
        for name, tensor in self._rounded.items():
            own[name].copy_(tensor)

    def _put_back(self, trainer: "pl.Trainer") -> None:
        generators = self._loaded.get("generators", [])
        if trainer.global_rank < len(generators):
            put_back(generators[trainer.global_rank])


def _refuse_without_clock(trainer: "pl.Trainer", checkpoint: dict[str, Any]) -> None:
    states = {name: one for name, one in checkpoint.get("callbacks", {}).items() if isinstance(one, dict)}
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    pruned = any("masks" in state for state in states.values())
    if pruned and clock_of(callbacks) is None:
        raise UserError(
            "The checkpoint is of a run with IterativePruning, which is missing among the callbacks: it would go on "
            "without masks, and dead weights would come back. Add the callbacks that the run was begun with."
        )
    known = {callback.state_key for callback in callbacks}
    for name, state in states.items():
        if "living" in state and name not in known:  # of a DynamicSparsity
            raise UserError(
                f"The checkpoint is of a run with {name}, which is missing among the callbacks: it would go on without "
                "masks. Add the callbacks that the run was begun with."
            )


def settle(trainer: "pl.Trainer", over: lightning_loops.Over) -> None:
    """Repair Lightning's loop counters after a resume, before other code reads them in ``on_train_start``.

    Args:
        trainer: The trainer.
        over: The reason why the running epoch has no batch left although its data has. Empty if batches are left.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ExactResume):
            callback.settle(trainer, over)


def reopen(trainer: "pl.Trainer") -> None:
    """Undo what :func:`settle` did to end an epoch.

    Args:
        trainer: The trainer, in ``on_train_epoch_end``.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ExactResume):
            callback.reopen()


def _unfinished(trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> dict[str, torch.Tensor]:
    """The gradients of a window of batches whose step is still to come."""
    epoch = trainer.fit_loop.epoch_loop
    if trainer.world_size > 1 or not epoch.batch_progress.current.ready or not epoch._should_accumulate():
        return {}
    return {name: p.grad.cpu() for name, p in pl_module.named_parameters() if p.grad is not None}
