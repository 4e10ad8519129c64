"""Where a run is logged: one folder for its log, config and checkpoints, which the run keeps when it is resumed."""

import csv
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

METRICS = ExperimentWriter.NAME_METRICS_FILE
CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"


class RunLogger(CSVLogger):
    """Log to metrics.csv like Lightning's CSVLogger, but continue a file that is there instead of deleting it.

    Logs go to ``<save_dir>/<name>/version_<number>``.

    Args:
        save_dir: Folder of all runs.
        name: Folder of this kind of run; empty for none.
        version: Number or name of the run's own folder; left out, the next free number.
        prefix: Put before the name of every metric.
        flush_logs_every_n_steps: How often rows are written, in rows.
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

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _ContinuedWriter(self.log_dir)
        return self._experiment

    def continue_run(self, folder: Path) -> None:
        """Log on where another process stopped: in its folder, or in a copy of its log.

        A folder beside which this logger would have made its own is continued; a run that lives elsewhere, or a
        logger that was told its version, leaves that run as it is and starts from a copy of its rows.

        Args:
            folder: Folder of the run, with metrics.csv.
        """
        if self.numbered and folder.resolve().parent == Path(self.root_dir).resolve():
            self._version = folder.name
        elif folder.resolve() != Path(self.log_dir).resolve():
            _copy(folder / METRICS, Path(self.log_dir, METRICS))


class RunConfig(SaveConfigCallback):
    """Save the config beside the log, and cut the log where the run takes over: a new one at its start.

    The first config of a run stays what it is; that of a resumed run is ``config_resumed.yaml``. Commands other than
    ``fit`` save none in a folder that has one.
    """

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        there = Path(trainer.log_dir or trainer.default_root_dir, "config.yaml").exists()
        there = trainer.strategy.broadcast(there)
        self.overwrite = True
        self.already_saved = not trainer.loggers or (there and stage != "fit")
        if there and self.resumed:
            self.config_filename = "config_resumed.yaml"
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", checkpoint: dict[str, Any]
    ) -> None:
        # The count by which Lightning numbers the rows of its loggers; public only inside a checkpoint.
        _cut_logs(trainer, checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"])

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not self.resumed:
            _cut_logs(trainer, first_step=0)

    @property
    def resumed(self) -> bool:
        """Whether the command was given a checkpoint."""
        return self.config.get("ckpt_path") is not None


def drop_rows(path: Path, first_step: int) -> int:
    """Drop what a log says about steps that will be made again; the whole file stays beside it.

    Args:
        path: A metrics.csv; nothing happens if it does not exist.
        first_step: The first step to forget.

    Returns:
        How many rows were dropped. If any, the old file is kept as ``metrics.previous.csv``.
    """
    if not path.exists():
        return 0
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    kept = [row for row in rows if int(row["step"]) < first_step]
    if len(kept) < len(rows):
        aside = path.with_suffix(".new")
        with aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(kept)
        shutil.copyfile(path, path.with_suffix(".previous.csv"))
        aside.replace(path)
    return len(rows) - len(kept)


def find_checkpoint(given: str, root: Path) -> Path:
    """Find the checkpoint that ``--ckpt_path`` means.

    Args:
        given: A path, or ``last`` for the newest last.ckpt below ``root``.
        root: The folder that holds the run folders.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    if given != "last":
        if not Path(given).exists():
            raise FileNotFoundError(f"`--ckpt_path {given}` does not exist. Give a checkpoint, or `last`.")
        return Path(given)
    candidates = list(root.glob(f"*/{CHECKPOINTS}/{LAST}"))
    if not candidates:
        raise FileNotFoundError(
            f"`--ckpt_path last`: no run in {root} has a {CHECKPOINTS}/{LAST}. Give the path of a checkpoint, "
            "or leave it out to start a new run."
        )
    return max(candidates, key=lambda path: path.stat().st_mtime)


def run_of(checkpoint: Path) -> Path | None:
    """Tell the run folder that a checkpoint lies in, if it lies in one."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == CHECKPOINTS and (folder / METRICS).is_file() else None


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _cut_logs(trainer: "pl.Trainer", first_step: int) -> None:
    for logger in trainer.loggers:
        if trainer.is_global_zero and isinstance(logger, RunLogger):
            drop_rows(Path(logger.log_dir, METRICS), first_step)


class _ContinuedWriter(ExperimentWriter):
    """Writes on below the rows that are there."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        if Path(self.metrics_file_path).exists():
            with Path(self.metrics_file_path).open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _check_log_dir_exists(self) -> None:
        """Keep what is there, where Lightning's writer deletes it."""
