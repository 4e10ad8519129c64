"""Log a run into one folder with its log, config and checkpoints. A resumed run keeps its folder."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from lightning_prune.basics.file_names import METRICS, RATES
from lightning_prune.lab.runs.tables import drop_rows, keep_copy


class RunLogger(CSVLogger):
    """Log to metrics.csv like Lightning's CSVLogger, but continue an existing file instead of deleting it.

    Logs go to ``<save_dir>/<name>/version_<number>``.

    Args:
        save_dir: The folder of all runs.
        name: The folder of this kind of run. Empty: no such folder.
        version: The number or name of the run's own folder. None: the next free number.
        prefix: A text before the name of every metric.
        flush_logs_every_n_steps: The number of rows between two writings.
    """

    def __init__(
        self,
        save_dir: str = "runs",
        name: str = "",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        super().__init__(save_dir, name, version, prefix, flush_logs_every_n_steps)
        self.numbered = version is None
        self.fitting = True
        self._copied: Path | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _ContinuedWriter(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self.fitting:  # Metrics of other commands do not belong to the fit.
            super().log_metrics(dict(metrics), step)

    def continue_run(self, folder: Path) -> None:
        """Continue the log of an earlier process, in its folder or in a copy.

        If the run's folder is a sibling of the one this logger would create, logging continues there. Otherwise, or if
        ``version`` was given, the old run is left untouched and its rows are copied.

        Args:
            folder: The folder of the run, with metrics.csv.
        """
        if self.numbered and folder.resolve().parent == Path(self.root_dir).resolve():
            self._version = folder.name
        elif folder.resolve() != Path(self.log_dir).resolve():
            self._copied = folder

    @rank_zero_only
    def take_over(self, first_step: int) -> None:
        """Cut the log at the first step of this process.

        Args:
            first_step: The first step of this process. The rows of this step and of later ones are dropped.
        """
        path = Path(self.log_dir, METRICS)
        if self._copied is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            keep_copy(path)
            for file in filter(Path.is_file, (self._copied / METRICS, self._copied / RATES)):
                shutil.copyfile(file, path.with_name(file.name))
        drop_rows(path, first_step)
        if isinstance(self._experiment, _ContinuedWriter):
            self._experiment.read_header()


class RunConfig(SaveConfigCallback):
    """Save the config beside the log, and cut the log at the step at which the run begins.

    Both are done when the training starts, because then no check can refuse the run. The first config of a run is
    never changed. The config of a resumed run is saved as ``config_resumed.yaml``. Commands other than ``fit`` save no
    config in a folder that has one, and do not write into the log of the fit.
    """

    first_step = 0

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self.overwrite, self.first_step = True, 0
        for logger in _run_loggers(trainer):
            logger.fitting = stage == "fit"
        if stage != "fit" and trainer.loggers and not self._is_there(trainer):
            super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        # Lightning numbers the rows of its loggers by this count, which is public only inside a checkpoint.
        self.first_step = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not trainer.loggers:
            return
        if self.resumed and self._is_there(trainer):
            self.config_filename = "config_resumed.yaml"
        super().setup(trainer, pl_module, "fit")
        for logger in _run_loggers(trainer):
            logger.take_over(self.first_step)

    def save_config(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        # Lightning would parse the config again to check it, which takes as long as an epoch of a small network.
        text = self.parser.dump(self.config, skip_none=False, skip_validation=True)
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.config_filename).write_text(text)

    @property
    def resumed(self) -> bool:
        """Whether the command was given a checkpoint."""
        return self.config.get("ckpt_path") is not None

    def _is_there(self, trainer: "pl.Trainer") -> bool:
        there = Path(trainer.log_dir or trainer.default_root_dir, "config.yaml").exists()
        return trainer.strategy.broadcast(there)


def _run_loggers(trainer: "pl.Trainer") -> list[RunLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


class _ContinuedWriter(ExperimentWriter):
    """Write new rows below the existing rows."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.read_header()

    def read_header(self) -> None:
        if Path(self.metrics_file_path).exists():
            with Path(self.metrics_file_path).open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _check_log_dir_exists(self) -> None:
        """Keep the existing file. Lightning's writer would delete it."""
