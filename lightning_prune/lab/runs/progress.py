"""Show the progress of a run: a line per cycle, a bar of one line in a terminal, and the results at the end."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from lightning_prune.callbacks.base import CycleClock, clock_of
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.lab.metric_names import main_metric
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.runs.end_of_fit import print_end
from lightning_prune.lab.runs.progress_lines import SECONDS_OF_SILENCE, ProgressLines

# Characters of the bar's parts with the space behind each: "cycle 14/14 · sparsity 95.6 %", "Epoch 269/269",
# "1563/1563", "0:01:23 • 0:00:12" and "1234.56it/s".
PLACE, EPOCH, BATCHES, TIME, SPEED = 30, 14, 10, 18, 12
METRICS = 20  # "val/accuracy: 0.978"
NARROWEST, WIDEST = 6, 40  # The bar itself.


class CycleProgressBar(RichProgressBar):
    """Show the cycle and the sparsity along with Lightning's own progress.

    Every cycle writes a line at its end. In a terminal, a bar of one line stands below these lines. At the end of a
    fit, the table of the cycles, the folder of the run and the next command follow. In a notebook there is only the
    bar.

    Args:
        refresh_rate: The number of times per second that the bar is drawn. 0 switches the bar off. With lightning
            2.6.0, the number of batches from one drawing to the next.
        leave: Whether the bar of every epoch stays on the screen.

    Attributes:
        shows_cycle: Says that ``IterativePruning`` need not log the cycle and the sparsity for this bar. They change
            here when a cycle begins, and not when its first epoch is over.
    """

    shows_cycle = True

    def __init__(self, refresh_rate: int = 10, leave: bool = False) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave)
        self.where = ""
        self._lines: ProgressLines | None = None
        self._clock: CycleClock | None = None
        self._seen: Cycle | None = None
        self._room = math.inf

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        console = get_console()
        if console.is_jupyter:
            return
        silence = math.inf if console.is_terminal else SECONDS_OF_SILENCE  # The bar is never silent.
        if not console.is_terminal:
            self.disable()
        if trainer.is_global_zero and stage == "fit":
            write = partial(console.print, soft_wrap=True, highlight=False, markup=False)
            self._lines = ProgressLines(write, silence=silence)

    def teardown(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        if self._lines is not None and trainer.log_dir is not None and not trainer.interrupted:
            for logger in trainer.loggers:
                logger.save()
            print_end(Path(trainer.log_dir), get_console())
        self._lines = None

    def configure_columns(self, trainer: "pl.Trainer") -> list[ProgressColumn]:
        """Choose the columns that fit side by side. A narrow terminal has no time and no speed."""
        description, bar, batches, time, speed = super().configure_columns(trainer)
        width = get_console().width
        left = width - PLACE - EPOCH - BATCHES - METRICS - NARROWEST - 1
        kept = [(time, TIME)] if left >= TIME else []
        kept += [(speed, SPEED)] if left >= TIME + SPEED else []
        left -= sum(room for _, room in kept)
        bar.bar_width = min(NARROWEST + max(left, 0), WIDEST)
        return [_CycleColumn(self), description, bar, batches, *(column for column, _ in kept)]

    def _init_progress(self, trainer: "pl.Trainer") -> None:
        super()._init_progress(trainer)
        if self.progress is None or self._metric_component is None:
            return
        for column in self.progress.columns:  # A column that wraps would make a second line.
            if isinstance(column, ProgressColumn):
                column._table_column = Column(no_wrap=True)
        shown = [column for column in self.progress.columns if column is not self._metric_component]
        others = PLACE + EPOCH + BATCHES + sum((TIME, SPEED)[: len(shown) - 4]) + shown[2].bar_width + 1  # type: ignore[union-attr]
        self._room = max(get_console().width - others, 1)
        self._metric_component._table_column = Column(no_wrap=True, overflow="ellipsis", max_width=int(self._room))

    def get_metrics(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> dict[str, Any]:
        """Show the metrics that fit into the line, and the validation metric before all others."""
        metrics = super().get_metrics(trainer, pl_module)
        first = main_metric(list(metrics))
        shown: dict[str, Any] = {}
        left = self._room
        for name in sorted(metrics.keys() - {"v_num"}, key=lambda name: (name != first, list(metrics).index(name))):
            left -= len(f"{name}: 0.000 ")
            if left >= -1 or not shown:  # No space stands behind the last.
                shown[name] = metrics[name]
        return shown

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_start(trainer, pl_module)
        self._clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]

    def on_train_batch_end(self, trainer: "pl.Trainer", *args: Any, **kwargs: Any) -> None:
        self._look()
        if self.is_enabled:  # Otherwise Lightning looks for a bar in vain, in each of its steps.
            super().on_train_batch_end(trainer, *args, **kwargs)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._lines is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._lines.epoch_ended(_result(trainer), epoch)

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_end(trainer, pl_module)
        if self._lines is not None:
            self._lines.leave()

    def _look(self) -> None:
        """Find the cycle after a batch, when every callback knows the cycle. Count the weights once per cycle."""
        clock = self._clock
        if clock is not None and (clock.cycle != self._seen or not self.where):
            self._seen = clock.cycle
            self.where = describe(clock)
        if self._lines is not None:
            self._lines.enter(self.where)


def describe(clock: CycleClock) -> str:
    """Describe the present cycle and the sparsity of the network in words."""
    if clock.cycle is None:
        return "dense"
    return f"cycle {clock.cycle.index}/{clock.cycles} · sparsity {percent(clock.measured_sparsity)}"


class _CycleColumn(ProgressColumn):
    """Show the words that the bar found last. Rendering runs in its own thread and must not touch the weights."""

    def __init__(self, bar: CycleProgressBar) -> None:
        super().__init__()
        self.bar = bar

    def render(self, task: Task) -> Text:
        return Text(self.bar.where)


def _result(trainer: "pl.Trainer") -> str:
    metric = main_metric(list(trainer.callback_metrics))
    return f"{metric} {score(metric, trainer.callback_metrics[metric].item())}" if metric else "no validation metric"
