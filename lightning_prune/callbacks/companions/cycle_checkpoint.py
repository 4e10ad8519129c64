"""Keep the last and the best checkpoint of every cycle, never compared across sparsities."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune.callbacks.base import find_clock
from lightning_prune.callbacks.compat.namespaces import everywhere, in_both_namespaces, join_namespaces
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.settings.described import describe_call


@in_both_namespaces
class CycleCheckpoint(ModelCheckpoint):
    """Keep the last checkpoint of every cycle, and the best one by a metric.

    This ``ModelCheckpoint`` starts again in each cycle, with new file names and without the earlier best value. The
    files are called ``cycle=03-density=0.512-last.ckpt`` and ``cycle=03-density=0.512-best.ckpt``. The dense run is
    cycle 0. The folder is a record of the run: ``IterativePruning(masks_from=folder)`` takes the masks from the folder.

    Args:
        monitor: The logged metric that chooses the best checkpoint. None: only the last checkpoints are kept.
        mode: ``"min"`` if the lowest value of the metric is the best, ``"max"`` if the highest value is.
        dirpath: The folder of the checkpoints. None: the folder of the logger.
        options: Other arguments of ``ModelCheckpoint``, such as ``every_n_epochs``.

    Example:
        >>> checkpoint = CycleCheckpoint(monitor="val/accuracy", mode="max")
        >>> checkpoint.on_cycle_start(None, None, Cycle(index=3, first_step=0, steps=1, sparsity=0.488))
        >>> checkpoint.filename, checkpoint.CHECKPOINT_NAME_LAST
        ('cycle=03-density=0.512-best', 'cycle=03-density=0.512-last')
    """

    def __init__(
        self, monitor: str | None = None, mode: str = "min", dirpath: str | None = None, **options: Any
    ) -> None:
        join_namespaces()
        super().__init__(
            dirpath=dirpath,
            monitor=monitor,
            mode=mode,
            save_top_k=0 if monitor is None else 1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            **options,
        )
        self._name_after(0, 1.0)

    def __repr__(self) -> str:
        return describe_call(self)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        cycle = find_clock(trainer, self).cycle
        if cycle is not None:
            self._name_after(cycle.index, cycle.density)
        elif trainer.current_epoch == 0 and trainer.ckpt_path is None:  # it may have been used in another fit
            self._begin(0, 1.0)
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_epoch_end(trainer, pl_module)
        # Not by save_last: what Lightning means by it depends on its version, lately only what was among the best.
        if not trainer.fast_dev_run and self._is_due(trainer):  # type: ignore[attr-defined]
            self.save_last_of_cycle(trainer)

    def save_last_of_cycle(self, trainer: "pl.Trainer") -> None:
        """Save the network as the last of the cycle.

        Args:
            trainer: The trainer.
        """
        self.last_model_path = str(Path(str(self.dirpath)) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")
        trainer.save_checkpoint(self.last_model_path, self.save_weights_only)

    def _is_due(self, trainer: "pl.Trainer") -> bool:
        return (trainer.current_epoch + 1) % max(self._every_n_epochs, 1) == 0

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        self._begin(cycle.index, cycle.density)

    def _begin(self, index: int, density: float) -> None:
        self._name_after(index, density)
        self.best_k_models = {}
        self.best_model_score = self.current_score = None
        self.best_model_path = self.kth_best_model_path = ""
        self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)

    def _name_after(self, index: int, density: float) -> None:
        name = f"cycle={index:02d}-density={density:.3f}"
        self.filename = f"{name}-best"
        self.CHECKPOINT_NAME_LAST = f"{name}-last"

    def _find_last_checkpoints(self, trainer: "pl.Trainer") -> set[str]:
        """What ``ckpt_path="last"`` chooses the newest from: the last one of every cycle."""
        folder = Path(str(self._ModelCheckpoint__resolve_ckpt_dir(trainer)))  # type: ignore[attr-defined]
        return {str(path) for path in folder.glob(f"cycle=*-last{self.FILE_EXTENSION}")}


def warn_of_mixed_sparsities(callbacks: list[Callback]) -> None:
    """Point out checkpoints whose best is chosen among networks of different sparsity.

    Args:
        callbacks: The callbacks of the fit.
    """
    for callback in callbacks:
        if not isinstance(callback, everywhere(ModelCheckpoint)) or isinstance(callback, CycleCheckpoint):
            continue
        if callback.monitor:
            last = (
                " Nor is its last.ckpt the last network: with a monitor, save_last=True writes it only when one of the "
                "best was saved, so that it may be dense at the end of a pruned run."
            )
            rank_zero_warn(
                f"ModelCheckpoint(monitor={callback.monitor!r}) compares networks of different sparsity, and the best "
                f"is likely to be a dense one.{last if callback.save_last else ''} lightning_prune.CycleCheckpoint "
                "keeps the last and the best of every cycle."
            )
            return
