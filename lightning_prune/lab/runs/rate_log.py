"""Log the exact learning rate of every step to rates.csv, with a row at each change."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from torch.optim import Optimizer

from lightning_prune.basics.file_names import RATES
from lightning_prune.lab.runs.tables import append_rows, drop_rows, read_rows


class RateLog(Callback):
    """Write the learning rates of a fit to ``<run>/rates.csv``, run-length coded.

    The rates of a row hold from its step up to the next row. The last row is the last step of the fit. Steps are
    numbered as Lightning numbers the rows of its loggers. Columns are named as ``LearningRateMonitor`` names them.
    Nothing is written without a log folder.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._begun = False
        self._names = LearningRateMonitor()
        self._named: list[list[str]] = []
        self._optimizers: list[Optimizer] = []
        self._groups: list[tuple[int, int]] = []
        self._last: dict[str, float] = {}
        self._step: int | None = None
        self._rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self.path, self._begun = None, False
        self._last, self._step, self._rows = {}, None, []
        self._groups = []

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._groups = []  # Names are looked up again in each epoch.

    def _begin(self, trainer: "pl.Trainer") -> None:
        """Drop the rows of steps that are made again, after the start of the training."""
        folder, self._begun = trainer.log_dir, True
        self.path = Path(folder, RATES) if folder is not None and trainer.is_global_zero else None
        if self.path is not None:
            drop_rows(self.path, _step(trainer), keep_old=False)
            for row in read_rows(self.path)[-1:]:
                self._last = {name: float(value) for name, value in row.items() if name != "step" and value}

    def on_train_batch_start(self, trainer: "pl.Trainer", *args: Any, **kwargs: Any) -> None:
        if not self._begun:
            self._begin(trainer)
        if self.path is None:
            return
        self._step, rates = _step(trainer), self.rates(trainer)
        if rates != self._last:
            if self._rows and self._rows[-1]["step"] == self._step:  # Gradients accumulate, and the last batch counts.
                self._rows.pop()
            self._rows.append({"step": self._step, **rates})
            self._last = rates

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._write(self._rows[:-1])
        self._rows = self._rows[-1:]

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._finish()

    def on_exception(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", exception: BaseException) -> None:
        self._finish()

    def rates(self, trainer: "pl.Trainer") -> dict[str, float]:
        """Read the rate of every parameter group, by its name. Names are kept, because to find them takes longer."""
        groups = [(id(one), len(one.param_groups)) for one in trainer.optimizers]
        if groups != self._groups:
            self._name_groups(trainer)
            self._groups = groups
        return {
            name: float(group["lr"])
            for names, optimizer in zip(self._named, self._optimizers, strict=True)
            for name, group in zip(names, optimizer.param_groups, strict=True)
        }

    def _name_groups(self, trainer: "pl.Trainer") -> None:
        configs = trainer.lr_scheduler_configs
        named, seen, kinds = self._names._find_names_from_schedulers(configs)
        others, rest = self._names._find_names_from_optimizers(
            trainer.optimizers, seen_optimizers=seen, seen_optimizer_types=kinds
        )
        self._named = [*named, *others]
        self._optimizers = [*(config.scheduler.optimizer for config in configs), *rest]

    def _finish(self) -> None:
        if self._step is not None and not (self._rows and self._rows[-1]["step"] == self._step):
            self._rows.append({"step": self._step, **self._last})
        self._write(self._rows)
        self._rows, self._step = [], None

    def _write(self, rows: list[dict[str, float]]) -> None:
        if self.path is not None:
            append_rows(self.path, rows)


def _step(trainer: "pl.Trainer") -> int:
    return trainer.fit_loop.epoch_loop._batches_that_stepped
