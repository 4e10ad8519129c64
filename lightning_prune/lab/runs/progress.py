"""How far it is: Lightning's rich bar with the cycle and the sparsity in it; lines where there is no terminal."""

from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from lightning_prune.callbacks.base import CycleClock
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.lab.metric_names import main_metric
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.runs.progress_lines import ProgressLines


class CycleProgressBar(RichProgressBar):
    """Show the cycle and the sparsity along with Lightning's own progress.

    Where the output is not a terminal the bar is off, and every cycle writes a line when it ends.

    Args:
        refresh_rate: How often the bar is drawn, per second; 0 switches it off.
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
        return {name: value for name, value in metrics.items() if name != "v_num"}

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
        """Ask which cycle it is after a batch, when every callback knows, and count the weights once a cycle."""
        clock = _find_clock(trainer)
        if clock is not None and (clock.cycle != self._seen or not self.where):
            self._seen = clock.cycle
            self.where = describe(clock)
        if self._lines is not None:
            self._lines.enter(self.where)


def describe(clock: CycleClock) -> str:
    """Say in words which cycle it is and how sparse the network is."""
    if clock.cycle is None:
        return "dense"
    return f"cycle {clock.cycle.index}/{clock.cycles} · sparsity {percent(clock.measured_sparsity)}"


class _CycleColumn(ProgressColumn):
    """The words that the bar found last; rendering runs in a thread of its own and must not touch the weights."""

    def __init__(self, bar: CycleProgressBar) -> None:
        super().__init__()
        self.bar = bar

    def render(self, task: Task) -> Text:
        return Text(self.bar.where)


def _find_clock(trainer: "pl.Trainer") -> CycleClock | None:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, CycleClock)), None)


def _result(trainer: "pl.Trainer") -> str:
    metric = main_metric(list(trainer.callback_metrics))
    return f"{metric} {score(metric, trainer.callback_metrics[metric].item())}" if metric else "no validation metric"
