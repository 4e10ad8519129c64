"""Write results outside of the fit: test.csv and validate.csv with a row per evaluation, and predictions.pt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import BasePredictionWriter, Callback
from lightning.pytorch.utilities import rank_zero_info

from lightning_prune.lab.runs.chosen_checkpoint import read_checkpoint
from lightning_prune.lab.runs.tables import append_rows

PREDICTIONS = "predictions.pt"


class Results(Callback):
    """Write the metrics of ``test`` and ``validate`` to ``<run>/test.csv`` and ``<run>/validate.csv``.

    Each evaluation is a row with the ``step`` of the checkpoint and the metrics.
    """

    def on_test_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._write(trainer)

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if trainer.state.fn == "validate":
            self._write(trainer)

    def _write(self, trainer: "pl.Trainer") -> None:
        folder, checkpoint, command = trainer.log_dir, trainer.ckpt_path, trainer.state.fn
        if folder is None or command is None or not trainer.is_global_zero:
            return
        step = read_checkpoint(Path(checkpoint)).get("global_step", 0) if checkpoint is not None else 0
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        append_rows(Path(folder, f"{command.value}.csv"), [{"step": step, **metrics}])


class Predictions(BasePredictionWriter):
    """Write the predictions to ``<run>/predictions.pt``. Batches of tensors become one tensor, others a list."""

    def __init__(self) -> None:
        super().__init__("epoch")

    def write_on_epoch_end(
        self,
        trainer: "pl.Trainer",
        pl_module: "pl.LightningModule",
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        name = PREDICTIONS if trainer.world_size == 1 else f"predictions-{trainer.global_rank}.pt"
        path = Path(trainer.log_dir or trainer.default_root_dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = all(isinstance(one, torch.Tensor) and one.ndim for one in predictions)
        torch.save(torch.cat(list(predictions)) if tensors else list(predictions), path)
        rank_zero_info(f"Predictions are in {path}.")
