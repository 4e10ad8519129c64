"""Record a run: the cycles as a JSON file beside its logs, and the values for the loggers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor

from lightning_prune import __version__
from lightning_prune.basics.file_formats import RECORD_FORMAT
from lightning_prune.basics.file_names import RECORD
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.masks.tally import Tally
from lightning_prune.selection.prunable import Selected


class Record:
    """The written record of a fit: ``pruning.json`` beside the files of the first logger, if there is one.

    Args:
        trainer: The trainer.
        pl_module: The module that is pruned.
        selected: The part of the module that is pruned.
        settings: The settings of the fit, in plain values.
    """

    def __init__(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", selected: Selected, settings: dict[str, Any]
    ) -> None:
        self._path = _path(trainer)
        self.writes = trainer.is_global_zero  # one process writes for all
        self.selected = selected
        self.cover(selected.weights)
        self.living: Callable[[], LivingNetwork | None] = lambda: None  # what is left when dead units are removed
        self.measured: dict[str, Any] = {}  # for the run, by name, such as the table of measure="latency"
        self.measure_at_end: Callable[[pl.Trainer], dict[str, Any]] = lambda _: {}
        self.model_weights = sum(parameter.numel() for parameter in pl_module.parameters())
        self.settings = settings
        self.cycles: list[dict[str, Any]] = []
        self._finished = False

    def cover(self, tensors: Mapping[str, Tensor]) -> None:
        """Note what has masks, which may be more than was selected, in the sizes of the whole network.

        Args:
            tensors: The tensors by name.
        """
        self.covered = {name: tensor.shape for name, tensor in tensors.items()}

    def add(self, trainer: "pl.Trainer", cycle: Cycle, tally: Tally, seconds: float) -> None:
        """Write that a cycle begins, and log the density of every pruned tensor.

        Args:
            trainer: The trainer.
            cycle: The cycle.
            tally: What lives in it.
            seconds: How long the prune took.
        """
        living = self.living()
        entry = {
            "cycle": cycle.index,
            "first_step": cycle.first_step,
            "first_epoch": trainer.current_epoch,
            "steps": cycle.steps,
            "sparsity": cycle.sparsity,
            "alive": dict(tally.living),
            "seconds": seconds,
            **({} if living is None else {"flops": list(living.flops())}),
        }
        self.cycles.append(entry)
        self.write(trainer, finished=False)
        densities = {
            f"pruning/density/{name}": tally.living[name] / size.numel() for name, size in tally.shapes.items()
        }
        for logger in trainer.loggers:
            logger.log_metrics(densities, step=trainer.fit_loop.epoch_loop._batches_that_stepped)

    def log_sparsity(self, trainer: "pl.Trainer", cycle: int, tally: Tally) -> None:
        """Log the cycle and the sparsity where no epoch ends with them, beside the densities of the tensors.

        Args:
            trainer: The trainer.
            cycle: The number of the cycle.
            tally: What lives.
        """
        values = {
            "pruning/cycle": float(cycle),
            "pruning/sparsity": tally.sparsity,
            "pruning/density": 1 - tally.sparsity,
        }
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.fit_loop.epoch_loop._batches_that_stepped)

    def note(self, name: str, value: Any) -> None:
        """Write a value of a callback into the file.

        Args:
            name: The key in the file.
            value: Plain values.
        """
        self.measured = {**self.measured, name: value}
        self._write()

    def write(self, trainer: "pl.Trainer", finished: bool) -> None:
        """Write the file, whole. What is measured when the run is over is in it if it is finished."""
        if finished:
            self.measured |= self.measure_at_end(trainer)
        self._finished = finished
        self._write()

    def _write(self) -> None:
        if self._path is None or not self.writes:
            return
        shapes = self.covered
        content = {
            "format": RECORD_FORMAT,
            "version": __version__,
            "settings": self.settings,
            "dense": self.settings["dense"],
            "model_weights": self.model_weights,
            "prunable_weights": sum(shape.numel() for shape in shapes.values()),
            "pruned": [{"name": n, "shape": list(one), "weights": one.numel()} for n, one in shapes.items()],
            "skipped": [asdict(one) for one in self.selected.skipped if one.name not in shapes],
            "cycles": self.cycles,
            "finished": self._finished,
            **self.measured,
        }
        write_whole(self._path, json.dumps(content, indent=1))

    def log_epoch(self, pl_module: "pl.LightningModule", cycle: Cycle | None, tally: Tally, seconds: float) -> None:
        """Log the cycle, and the sparsity over what is prunable and over the whole model, from whole numbers.

        Progress bars show the first two, but for a bar that has ``shows_cycle = True``, since it shows them itself.

        Args:
            pl_module: The module, in a hook that may log.
            cycle: The cycle that is running. None in the dense run.
            tally: What lives.
            seconds: How long the epoch took.
        """
        dead = tally.size - tally.alive
        shown = {"pruning/cycle": float(cycle.index if cycle else 0), "pruning/sparsity": tally.sparsity}
        others = {
            "pruning/density": tally.alive / tally.size,
            "pruning/model_sparsity": dead / self.model_weights,
            "pruning/model_density": (self.model_weights - dead) / self.model_weights,
            "pruning/seconds": seconds,
        }
        bar = pl_module.trainer.progress_bar_callback
        pl_module.log_dict(shown, prog_bar=not getattr(bar, "shows_cycle", False))
        pl_module.log_dict(others)


def _path(trainer: "pl.Trainer") -> Path | None:
    """The path of the file. Every process has to call this, since the processes agree on the folder."""
    if not trainer.loggers or isinstance(trainer.loggers[0], everywhere(DummyLogger)):
        return None
    return None if trainer.log_dir is None else Path(trainer.log_dir) / RECORD
