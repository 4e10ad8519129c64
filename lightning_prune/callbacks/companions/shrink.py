"""Make the network of a fit small when the fit is over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_prune.basics.too_early import ObjectsOnly
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.companions.small_network_file import check_name, write_at_end
from lightning_prune.callbacks.compat.namespaces import everywhere, in_both_namespaces, join_namespaces
from lightning_prune.callbacks.gathering.training_batches import loaders_of
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.shrinking.removal import Shrunk, shrink
from lightning_prune.shrinking.resizes import Resize
from lightning_prune.shrinking.shrink_record import ShrinkRecord
from lightning_prune.shrinking.slices import Cut, cut_optimizer_, tensors_of
from lightning_prune.shrinking.whole_states import keep_record


@in_both_namespaces
class Shrink(Callback, metaclass=ObjectsOnly):
    """Remove the dead units of the network when the fit is over: channels, heads and neurons.

    ``pl_module`` is the small network then, and its optimizers go on with it. Checkpoints that the fit saves keep the
    names and shapes of the whole network, so that a fit resumes from them as without this callback. The small network
    loads them, too, if what was removed is zero in them: ``trainer.test(ckpt_path="best")`` works.

    The small network is compared with the masked one on the last training batch. What cannot be removed exactly stays
    masked, and a warning names it with the reason. On several processes the first one compares, and all remove the
    same.

    Args:
        resizes: Functions for modules of your own, by class. See :func:`lightning_prune.shrink`.
        save: The file for the small network, such as ``"small.safetensors"``. A relative path begins in the folder of
            the run, ``trainer.log_dir``. :func:`load_small` reads the file, and so do ``lightning-prune validate``,
            ``test`` and ``predict`` with ``--ckpt_path``. None: no file.

    Raises:
        ValueError: If ``save`` does not end in ``.safetensors``. When the fit starts, if weights are split over several
            devices, or the fit runs in processes from which only weights come back.

    Example:
        >>> from lightning_prune import IterativePruning, OneShot, Structures
        >>> pruning = IterativePruning(cycles=1, retrain="5ep", sparsity=OneShot(0.5), granularity=Structures())
        >>> callbacks = [pruning, Shrink(save="small.safetensors")]
    """

    def __init__(self, resizes: Mapping[type, Resize] | None = None, save: str | Path | None = None) -> None:
        join_namespaces()
        check_name(save)
        self.resizes = resizes
        self.save = save
        self._batch: Any = None
        self._shrunk: Shrunk | None = None

    @property
    def shrunk(self) -> Shrunk:
        """The small network with its record, once the fit is over. ``shrunk.save(path)`` writes it into a file."""
        if self._shrunk is None:
            raise UserError("Shrink has no small network before the fit is over: call trainer.fit(...) with it first.")
        return self._shrunk

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            self._batch = self._shrunk = None
            if isinstance(trainer.strategy.launcher, everywhere(_MultiProcessingLauncher)):
                raise UserError(
                    f"Shrink() works in the processes of Trainer(strategy='ddp'). From {_name(trainer.strategy)} only "
                    "weights come back, into the whole network. Leave it out, and shrink later: shrink(module, "
                    "checkpoint='last.ckpt', example=batch)."
                )

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if any(map(is_sharded, pl_module.parameters())):
            raise UserError(
                f"Shrink() cannot remove parts of weights that {_name(trainer.strategy)} splits over several devices. "
                "Leave it out, save one file (ModelParallelStrategy(save_distributed_checkpoint=False)), and shrink "
                "it later in a single process: shrink(module, checkpoint='last.ckpt', example=batch)."
            )

    def on_train_batch_end(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    def on_fit_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        # Here and not when training ends: averages are written into the module and checkpoints are saved until then.
        parameters = {name: one for name, one in tensors_of(pl_module).items() if one.requires_grad}
        shapes = {one: one.shape for one in parameters.values()}
        shrunk = self._shrink(trainer, pl_module)
        cuts = {parameters[name]: by for name, by in shrunk.cuts.items() if name in parameters}
        for optimizer in trainer.optimizers:
            cut_optimizer_(optimizer, cuts, shapes)
        self._shrunk, self._batch = shrunk, None
        rank_zero_info(str(shrunk).splitlines()[0])
        if shrunk.masked:
            listed = "; ".join(f"{name} ({reason})" for name, reason in shrunk.masked.items())
            rank_zero_warn(f"Shrink() keeps groups masked, because removing them would not be exact: {listed}.")
        if self.save is not None:
            write_at_end(trainer, shrunk, self.save)

    def on_exception(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", exception: BaseException) -> None:
        self._batch = None

    def _shrink(self, trainer: "pl.Trainer", module: "pl.LightningModule") -> Shrunk:
        """Shrink on the first process, and do the same on the others."""
        if trainer.world_size == 1:
            return shrink(module, example=self._example(trainer), resizes=self.resizes)
        shrunk, failure = None, ""
        if trainer.is_global_zero:
            try:
                shrunk = shrink(module, example=self._example(trainer), resizes=self.resizes)
            except Exception as error:  # the other processes wait
                failure = f"{type(error).__name__}: {error}"
        ours = None if shrunk is None else (shrunk.record, shrunk.error, shrunk.parameters, shrunk.cuts)
        theirs: tuple[ShrinkRecord, float, tuple[int, int], Mapping[str, Cut]] | None
        failure, theirs = trainer.strategy.broadcast((failure, ours))
        if theirs is None:
            raise UserError(f"Shrink() failed on the first process: {failure}")
        if shrunk is None:
            record, difference, parameters, cuts = theirs
            record.apply_(module, "Shrink()")
            keep_record(module, record)
            shrunk = Shrunk(module, record, difference, parameters, cuts)
        return shrunk

    def _example(self, trainer: "pl.Trainer") -> Any:
        module = trainer.lightning_module
        if self._batch is not None or getattr(module, "example_input_array", None) is not None:
            return self._batch
        loaders = loaders_of(trainer)  # no batch was trained: the fit was resumed after its last one
        batch = next(iter(loaders[0]), None) if loaders else None
        return module._apply_batch_transfer_handler(module._on_before_batch_transfer(batch), device=module.device)


def _name(thing: object) -> str:
    return type(thing).__name__
