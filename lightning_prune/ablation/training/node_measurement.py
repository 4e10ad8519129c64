"""Save the results of a node: a row for each cycle, the best and the last checkpoint, and the progress."""

import json
import time
from collections.abc import Mapping
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from lightning_prune.ablation.planning.followed_arms import masks_name
from lightning_prune.ablation.training.own_generators import own_generators
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.callbacks.base import CycleClock, clock_of
from lightning_prune.callbacks.dynamic.dynamic_sparsity import moving_of
from lightning_prune.callbacks.gathering.validation_pass import all_validated
from lightning_prune.lab.metric_names import choose_columns, lower_is_better
from lightning_prune.masks.ticket import ticket_of, write_ticket
from lightning_prune.selection.parameters import plain_name

PROGRESS = "progress.json"
MEASURED = ("val_last", "val_best", "best_epoch", "loss_last", "peak_lr")


def best_name(cycle: int) -> str:
    """Name the file of the best network of a cycle.

    Example:
        >>> best_name(3)
        'best-03.ckpt'
    """
    return f"best-{cycle:02d}.ckpt"


def keep_masks(path: Path, clock: CycleClock, module: "pl.LightningModule") -> None:
    """Write the masks of the cycle that is running, without weights.

    Args:
        path: The file.
        clock: The callback that has the masks.
        module: The network.
    """
    shapes = {plain_name(name): tensor.shape for name, tensor in module.state_dict().items()}
    write_ticket(path, ticket_of({"clock": clock.state_dict()}, shapes))


class NodeEnd(Checkpoint):
    """Save what the next node needs at the end of this node, and end the fit there.

    Args:
        folder: The folder for checkpoints.
        last: The last cycle of the node.
        whole: Whether the run ends with this node.
        metric: The logged value that chooses the best epoch. None: the validation accuracy or loss.
        every: The seconds between savings. A saving comes after an epoch. 0 saves after every epoch.
        many: Whether the node has several cycles. Then the masks of each cycle are kept in a file, because the
            checkpoint holds only the last masks.
    """

    def __init__(
        self, folder: Path, last: int, whole: bool, metric: str | None = None, every: float = 30.0, many: bool = False
    ) -> None:
        self.folder = folder
        self.many = many
        self._kept = 0
        self.last = last
        self.whole = whole
        self.metric = metric
        self.every = every
        self.rows: dict[int, dict[str, Any]] = {}
        self.epochs = 0
        self.seconds = 0.0
        self.images = 0  # Of this process.
        self.drawing: list[str] = []
        self.over = False
        self._saved_at = self._noted_at = -1
        self._validated = False

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._validated = not trainer.sanity_checking

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._began = self._saved = time.monotonic()
        self.drawing = own_generators(trainer)
        if self.over:  # The node was interrupted after its last epoch. The next epoch belongs to another node.
            self._saved_at = self._noted_at = trainer.global_step
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
        if clock is not None:
            self._keep_masks(clock, pl_module)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        now = time.monotonic()
        self.seconds, self._began, self.epochs = self.seconds + now - self._began, now, self.epochs + 1
        self.images += _images_of(trainer)
        self._note(trainer)
        write_whole(self.folder / PROGRESS, json.dumps({"epochs": self.epochs}))
        self.over = self._is_over(trainer)
        if self.over or now - self._saved >= self.every:
            self._save(trainer)
        if self.over and not self.whole:
            trainer.should_stop = True

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Add a row at the end of a cycle. A cycle shorter than an epoch was not measured, but has its row as well.

        A cycle that was left out is measured now: its network is the one of its prune.
        """
        row, clock = self._row(trainer), clock_of(trainer.callbacks)  # type: ignore[attr-defined]
        if clock is not None and is_left_out(clock):
            began = time.monotonic()
            self._note_left_out(trainer, row, all_validated(trainer, "A study"))
            self._keep_masks(clock, pl_module)
            self._began += time.monotonic() - began  # The run alone would not measure here.

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
        left_out = clock is not None and is_left_out(clock)
        if not self.whole or (self._saved_at == trainer.global_step and (self.over or not left_out)):
            return
        self.over, self.seconds = True, self.seconds + time.monotonic() - self._began
        if clock is not None and left_out:
            self._note_left_out(trainer, self._row(trainer), _logged(trainer))
            self._keep_masks(clock, pl_module)
        elif self._noted_at != trainer.global_step:
            self._note(trainer)
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        # Rows are saved as JSON, because they hold None, and keys that are numbers.
        return {"rows": json.dumps(self.rows), "epochs": self.epochs, "seconds": self.seconds, "over": self.over}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = {int(cycle): row for cycle, row in json.loads(state_dict["rows"]).items()}
        self.epochs, self.seconds, self.over = state_dict["epochs"], state_dict["seconds"], state_dict["over"]

    def _keep_masks(self, clock: CycleClock, pl_module: "pl.LightningModule") -> None:
        if self.many and clock.cycle is not None and clock.cycle.index != self._kept:
            self._kept = clock.cycle.index
            keep_masks(self.folder / masks_name(self._kept), clock, pl_module)

    def _save(self, trainer: "pl.Trainer") -> None:
        self._saved, self._saved_at = time.monotonic(), trainer.global_step
        write_whole(self.folder / LAST, trainer.save_checkpoint)

    def _is_over(self, trainer: "pl.Trainer") -> bool:
        clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
        return self.over or (clock is not None and clock.ends_with_epoch(self.last))

    def _note(self, trainer: "pl.Trainer") -> None:
        """Measure the epoch that ends."""
        row, self._noted_at = self._row(trainer), trainer.global_step
        metrics = _logged(trainer)
        columns = choose_columns(list(metrics), self.metric if self.metric in metrics else None)
        metric = columns.metric
        row["epochs"] += 1
        if self.metric not in (None, metric):
            if self._validated or self._is_over(trainer):
                raise UserError(f"Ablation(metric={self.metric!r}) was not logged.{_what_was(metrics, self.metric)}")
            metric = None
        if metric:  # Without a metric the epoch had no validation, and the value of the epoch before still counts.
            row |= {"metric": metric, "val_last": metrics[metric]}
        if columns.val_loss:
            row["loss_last"] = metrics[columns.val_loss]
        highest = metrics.get("pruning/lr_max") or max(_rates(trainer))
        row["peak_lr"] = max(row["peak_lr"] or 0.0, highest)
        if metric and _better(metrics[metric], row["val_best"], metric):
            row |= {"val_best": metrics[metric], "best_epoch": row["epochs"]}
            trainer.save_checkpoint(self.folder / best_name(row["cycle"]), weights_only=True)

    def _note_left_out(self, trainer: "pl.Trainer", row: dict[str, Any], metrics: Mapping[str, float]) -> None:
        """Measure a cycle without an epoch. Its only network is the last one and the best one."""
        columns = choose_columns(list(metrics), self.metric if self.metric in metrics else None)
        if columns.val_loss:
            row["loss_last"] = metrics[columns.val_loss]
        if columns.metric:
            value = metrics[columns.metric]
            row |= {"metric": columns.metric, "val_last": value, "val_best": value, "best_epoch": 0}
            trainer.save_checkpoint(self.folder / best_name(row["cycle"]), weights_only=True)

    def _row(self, trainer: "pl.Trainer") -> dict[str, Any]:
        """The row of the cycle that is running."""
        clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
        cycle = clock.cycle.index if clock is not None and clock.cycle is not None else 0
        moving = moving_of(trainer.callbacks)  # type: ignore[attr-defined]
        masked = clock or moving
        sparsity = masked.measured_sparsity if masked is not None else 0.0
        row = self.rows.setdefault(cycle, {"cycle": cycle, "metric": None, "epochs": 0} | dict.fromkeys(MEASURED))
        if moving is not None and row.get("sparsity", sparsity) != sparsity:
            row |= {"val_best": None, "best_epoch": None}  # of a phase of another sparsity
        row |= {"sparsity": sparsity, "density": 1 - sparsity}
        return row


def is_left_out(clock: CycleClock) -> bool:
    """Whether the cycle that is running has no step, because its training was left out."""
    return clock.cycle is not None and clock.cycle.index > 0 and clock.cycle.steps == 0


def _logged(trainer: "pl.Trainer") -> dict[str, float]:
    return {name: value.item() for name, value in trainer.callback_metrics.items() if value.numel() == 1}


def _better(new: float, old: float | None, metric: str) -> bool:
    """Whether a value is better than the best one so far.

    Example:
        >>> nan = float("nan")
        >>> [_better(*pair, "val/loss") for pair in [(nan, None), (nan, nan), (0.3, nan), (nan, 0.3), (0.2, 0.3)]]
        [True, False, True, False, True]
    """
    if old is None or (isnan(old) and not isnan(new)):  # No comparison with nan is true.
        return True
    return new < old if lower_is_better(metric) else new > old


def _images_of(trainer: "pl.Trainer") -> int:
    """The number of images of an epoch, or of its batches if the loader does not tell how many images it has."""
    batches = int(trainer.num_training_batches) if isfinite(trainer.num_training_batches) else 0
    loader: Any = trainer.train_dataloader
    try:
        return int(min(len(loader.dataset), batches * loader.batch_size))
    except (AttributeError, TypeError):
        return batches


def _what_was(metrics: Mapping[str, Any], metric: Any) -> str:
    known = sorted(name for name in metrics if not name.startswith(("pruning/", "lr-")))
    return f"{suggest(metric, known, write=repr)} Logged were {', '.join(known) or 'no metrics'}."


def _rates(trainer: "pl.Trainer") -> list[float]:
    return [float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups]
