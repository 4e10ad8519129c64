"""Make the network of a fit small: when the fit is over, or at the start of every cycle."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_prune.basics.too_early import ObjectsOnly
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.companions.small_network_file import check_name, write_at_end
from lightning_prune.callbacks.compat.namespaces import everywhere, in_both_namespaces, join_namespaces
from lightning_prune.callbacks.gathering.training_batches import loaders_of
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.resizing.before_loading import take_sizes_when_loading
from lightning_prune.callbacks.resizing.cycle_sizes import CycleSizes
from lightning_prune.callbacks.resizing.on_all_processes import shrink_on_all
from lightning_prune.callbacks.resizing.refused import refuse_fit, warn_of_mixing
from lightning_prune.callbacks.resizing.weights_only import keep_record_with_weights
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.shrinking.regrowth import sizes_of
from lightning_prune.shrinking.removal import Shrunk, shrink
from lightning_prune.shrinking.resizes import Resize
from lightning_prune.shrinking.slices import cut_optimizer_, tensors_of


@in_both_namespaces
class Shrink(Callback, metaclass=ObjectsOnly):
    """Remove the dead units of the network: channels, heads and neurons. At the end of the fit, or in every cycle.

    With ``at="end"`` the fit trains the masked network, and ``pl_module`` is the small network when it is over. Its
    optimizers go on with it. Checkpoints that the fit saves keep the names and shapes of the whole network, so that a
    fit resumes from them as without this callback. The small network loads them, too, if what was removed is zero in
    them: ``trainer.test(ckpt_path="best")`` works.

    With ``at="cycles"`` every cycle trains the small network, which takes less time. The run is equal to the masked
    one, up to rounding, if its optimizers treat each weight alone (SGD, Adam, AdamW, RMSprop and the like) and nothing
    is drawn in the sizes of the network, as dropout does. Sparsities, masks and logs count in the whole network, as in
    the masked run. Checkpoints hold the small network and how it became small. A fit with the same callbacks resumes
    from them exactly, and :func:`lightning_prune.shrink_like` loads them into a plain module. Each cycle begins with
    the whole network: callbacks see it, with zeros, in ``on_prune_start`` and ``on_cycle_start``.

    The small network is compared with the masked one on the last training batch. What cannot be removed exactly stays
    masked, and a warning names it with the reason. On several processes the first one compares, and all remove the
    same.

    Args:
        at: ``"end"`` or ``"cycles"``.
        resizes: Functions for modules of your own, by class. See :func:`lightning_prune.shrink`.
        save: The file for the small network, such as ``"small.safetensors"``. A relative path begins in the folder of
            the run, ``trainer.log_dir``. :func:`load_small` reads the file, and so do ``lightning-prune validate``,
            ``test`` and ``predict`` with ``--ckpt_path``. None: no file.

    Raises:
        ValueError: If ``at`` is unknown, or ``save`` does not end in ``.safetensors``. When the fit starts, if weights
            are split over several devices, or the fit runs in processes from which only weights come back. With
            ``at="cycles"`` also if there is no ``IterativePruning``, an optimizer keeps one state for all weights
            (LBFGS), or something keeps the graph of an earlier loss when a cycle begins.

    Example:
        >>> from lightning_prune import IterativePruning, OneShot, Structures
        >>> pruning = IterativePruning(cycles=1, retrain="5ep", sparsity=OneShot(0.5), granularity=Structures())
        >>> callbacks = [pruning, Shrink(save="small.safetensors")]
    """

    def __init__(
        self,
        at: Literal["end", "cycles"] = "end",
        resizes: Mapping[type, Resize] | None = None,
        save: str | Path | None = None,
    ) -> None:
        join_namespaces()
        check_name(save)
        if at not in ("end", "cycles"):
            raise UserError(f"Shrink(at={at!r}) is unknown: give 'end' or 'cycles'.")
        self.at = at
        self.resizes = resizes
        self.save = save
        self._batch: Any = None
        self._shrunk: Shrunk | None = None
        self._undo: Callable[[], object] = _nothing
        self.sizes = CycleSizes(self._said, resizes)

    @property
    def _said(self) -> str:
        return "Shrink()" if self.at == "end" else "Shrink(at='cycles')"

    @property
    def shrunk(self) -> Shrunk:
        """The small network with its record, once the fit is over. ``shrunk.save(path)`` writes it into a file."""
        if self._shrunk is None:
            raise UserError("Shrink has no small network before the fit is over: call trainer.fit(...) with it first.")
        return self._shrunk

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            self._batch = self._shrunk = None
            self.sizes = CycleSizes(self._said, self.resizes, pl_module)
            if isinstance(trainer.strategy.launcher, everywhere(_MultiProcessingLauncher)):
                raise UserError(
                    f"{self._said} works in the processes of Trainer(strategy='ddp'). From {_name(trainer.strategy)} "
                    "only weights come back, into the whole network. Leave it out, and shrink later: shrink(module, "
                    "checkpoint='last.ckpt', example=batch)."
                )
            if self.at == "cycles":
                keep_record_with_weights(trainer)
        elif self.at == "cycles":
            self._undo = take_sizes_when_loading(trainer)

    def teardown(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self._undo()
        self._undo = _nothing

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.at == "cycles":
            refuse_fit(trainer, pl_module, self._said)
            warn_of_mixing(trainer.optimizers, self._said)
            return
        if any(map(is_sharded, pl_module.parameters())):
            raise UserError(
                f"Shrink() cannot remove parts of weights that {_name(trainer.strategy)} splits over several devices. "
                "Leave it out, save one file (ModelParallelStrategy(save_distributed_checkpoint=False)), and shrink "
                "it later in a single process: shrink(module, checkpoint='last.ckpt', example=batch)."
            )

    def on_train_batch_end(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch if self.at == "end" else None

    def on_fit_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        # Here and not when training ends: averages are written into the module and checkpoints are saved until then.
        at_end = self.at == "end"
        self._shrunk = self._shrunk_at_end(trainer, pl_module) if at_end else self.sizes.finished(pl_module)
        if self.save is not None:
            write_at_end(trainer, self._shrunk, self.save)

    def on_exception(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", exception: BaseException) -> None:
        self._batch = None

    def state_dict(self) -> dict[str, Any]:
        return self.sizes.state_dict() if self.at == "cycles" else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sizes.load_state_dict(state_dict)

    def _shrunk_at_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> Shrunk:
        """Shrink the network with the optimizers of the fit, and say what came of it."""
        parameters = {name: one for name, one in tensors_of(pl_module).items() if one.requires_grad}
        shapes = {one: one.shape for one in parameters.values()}
        shrunk = self._shrink(trainer, pl_module)
        cuts = {parameters[name]: by for name, by in shrunk.cuts.items() if name in parameters}
        for optimizer in trainer.optimizers:
            cut_optimizer_(optimizer, cuts, shapes)
        self._batch = None
        rank_zero_info(str(shrunk).splitlines()[0])
        if shrunk.masked:
            listed = "; ".join(f"{name} ({reason})" for name, reason in shrunk.masked.items())
            rank_zero_warn(f"Shrink() keeps groups masked, because removing them would not be exact: {listed}.")
        return shrunk

    def _shrink(self, trainer: "pl.Trainer", module: "pl.LightningModule") -> Shrunk:
        """Shrink on the first process, and do the same on the others."""
        remove = partial(shrink, module, resizes=self.resizes)
        return shrink_on_all(trainer, lambda: remove(example=self._example(trainer)), self._said)

    def _example(self, trainer: "pl.Trainer") -> Any:
        module = trainer.lightning_module
        if self._batch is not None or getattr(module, "example_input_array", None) is not None:
            return self._batch
        loaders = loaders_of(trainer)  # no batch was trained: the fit was resumed after its last one
        batch = next(iter(loaders[0]), None) if loaders else None
        return module._apply_batch_transfer_handler(module._on_before_batch_transfer(batch), device=module.device)


def _name(thing: object) -> str:
    return type(thing).__name__


def shrinks_in_cycles(trainer: "pl.Trainer") -> Shrink | None:
    """Find the ``Shrink(at="cycles")`` among the callbacks of a trainer. None if there is none.

    Args:
        trainer: The trainer.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, Shrink) and one.at == "cycles"), None)


@contextmanager
def whole_network(trainer: "pl.Trainer", pruner: Pruner, hold: Hold) -> Iterator[None]:
    """Let the network of a fit be whole inside this context, while a cycle begins.

    Afterwards its dead units are removed, if there is a ``Shrink(at="cycles")``. After an error the network stays
    whole, and may be saved so.

    Args:
        trainer: The trainer.
        pruner: The masks of the network.
        hold: What keeps dead weights at zero.
    """
    shrinking = shrinks_in_cycles(trainer)
    if shrinking is not None:
        shrinking.sizes.grow_(trainer, pruner.gatherer)
    yield
    if shrinking is not None:
        shrinking.sizes.shrink_(trainer, pruner.whole_masks(), hold)


def cut_to_sizes_(hold: Hold, module: "pl.LightningModule") -> None:
    """Let the masks of a resumed fit go on with what is left of them, if its network is small by now.

    Args:
        hold: What keeps dead weights at zero.
        module: The network.
    """
    sizes = sizes_of(module)
    if sizes is not None:
        hold.cut_(sizes.record.kept)


def _nothing() -> None:
    """There is nothing to undo."""
