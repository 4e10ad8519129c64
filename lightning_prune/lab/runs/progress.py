"""Show the progress of a run with the cycle and the sparsity, in Lightning's rich bar, or in lines of text."""

from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from lightning_prune.callbacks.base import CycleClock, clock_of
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.lab.metric_names import main_metric
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.runs.progress_lines import ProgressLines


class CycleProgressBar(RichProgressBar):
    """Show the cycle and the sparsity along with Lightning's own progress.

    If the output is not a terminal, the bar is off, and every cycle writes a line at its end.

    Args:
        refresh_rate: The number of times per second that the bar is drawn. 0 switches the bar off.
        leave: Whether the bar of every epoch stays on the screen.
    """

    def __init__(self, refresh_rate: int = 10, leave: bool = False) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave)
        self.where = ""
        self._lines: ProgressLines | None = None
        self._seen: Cycle | None = None

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        console = get_console()
        if console.is_terminal or console.is_jupyter:
            return
        self.disable()
        if trainer.is_global_zero and stage == "fit":
            self._lines = ProgressLines(partial(console.print, soft_wrap=True, highlight=False, markup=False))

    def configure_columns(self, trainer: "pl.Trainer") -> list[ProgressColumn]:
        columns: list[ProgressColumn] = super().configure_columns(trainer)
        return [_CycleColumn(self), *columns]

    def get_metrics(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != "v_num" and not name.startswith("pruning/")}

    def on_train_batch_end(self, trainer: "pl.Trainer", *args: Any, **kwargs: Any) -> None:
        self._look(trainer)
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

    def _look(self, trainer: "pl.Trainer") -> None:
        """Find the cycle after a batch, when every callback knows the cycle. Count the weights once per cycle."""
        clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
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
