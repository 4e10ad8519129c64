"""Draw docs/images/process.svg, the picture of one run in the README: ``python benchmarks/process_picture.py``."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from lightning_prune import Geometric, IterativePruning, LRRewind
from lightning_prune.lab import Classifier, Digits, LeNet300100

DENSE, CYCLES, RETRAIN = 12, 4, 6
PANELS = {"learning rate": "#0072B2", "density": "#009E73", "validation accuracy": "#D55E00"}
TARGET = Path(__file__).parents[1] / "docs" / "images" / "process.svg"


class Curves(Callback):
    """Keep the rate and the density of every step, and the accuracy of every epoch."""

    def __init__(self, pruning: IterativePruning) -> None:
        self.pruning = pruning
        self.rows: list[dict[str, Any]] = []

    def on_before_optimizer_step(self, trainer: Trainer, module: Any, optimizer: torch.optim.Optimizer) -> None:
        epoch = trainer.global_step / trainer.num_training_batches
        self._add(epoch, "learning rate", optimizer.param_groups[0]["lr"])
        self._add(epoch, "density", 1 - self.pruning.measured_sparsity)

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        self._add(trainer.current_epoch + 1, "validation accuracy", float(trainer.callback_metrics["val/accuracy"]))

    def _add(self, epoch: float, panel: str, value: float) -> None:
        self.rows.append({"epoch": epoch, "panel": panel, "value": value})


def trained() -> pd.DataFrame:
    """Train LeNet-300-100 on digits for a dense run and four cycles, with replayed learning rates."""
    seed_everything(0, verbose=False)
    torch.set_num_threads(1)
    pruning = IterativePruning(cycles=CYCLES, retrain=f"{RETRAIN}ep", sparsity=Geometric(fraction=0.4))
    curves = Curves(pruning)
    module = Classifier(
        LeNet300100(inputs=64),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [8, 10], 0.1),
    )
    Trainer(
        max_epochs=DENSE,
        accelerator="cpu",
        callbacks=[pruning, LRRewind(), curves],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(module, datamodule=Digits(batch_size=64, validation=0.25))
    return pd.DataFrame(curves.rows)


def drawn(table: pd.DataFrame) -> alt.VConcatChart:
    """Draw one panel below the other, with the dense run and the cycles marked."""
    ends = [0, DENSE, *(DENSE + RETRAIN * cycle for cycle in range(1, CYCLES + 1))]
    names = ["dense run", *(f"cycle {cycle}" for cycle in range(1, CYCLES + 1))]
    phases = pd.DataFrame(
        {"start": ends[:-1], "end": ends[1:], "name": names, "odd": [i % 2 for i in range(len(names))]}
    )
    axis = alt.X("epoch:Q", title=None, scale=alt.Scale(domain=[0, ends[-1]], nice=False), axis=alt.Axis(values=ends))
    rows = []
    for panel, color in PANELS.items():
        part = table[table["panel"] == panel]
        bands = alt.Chart(phases[phases["odd"] == 1]).mark_rect(color="#f2f2f2").encode(x=alt.X("start:Q"), x2="end:Q")
        scale = {"learning rate": alt.Scale(type="log"), "density": alt.Scale(domain=[0, 1])}.get(
            panel, alt.Scale(zero=False)
        )
        form = "%" if panel != "learning rate" else "~g"
        y = alt.Y("value:Q", title=panel, scale=scale, axis=alt.Axis(format=form, tickCount=4))
        chart = alt.Chart(part)
        line = chart.mark_line(color=color, interpolate="linear" if panel == "validation accuracy" else "step-after")
        layers = [bands, line.encode(x=axis, y=y)]
        if panel == "learning rate":
            words = alt.Chart(phases).transform_calculate(middle="(datum.start + datum.end) / 2")
            layers.append(
                words.mark_text(color="#555555", fontSize=11).encode(x="middle:Q", y=alt.value(-8), text="name:N")
            )
        rows.append(alt.layer(*layers).properties(width=720, height=90))
    rows[-1].layer[1].encoding.x.title = "epoch of the one fit"
    return alt.vconcat(*rows, spacing=12).configure_view(stroke=None).configure_axis(gridColor="#e6e6e6")


if __name__ == "__main__":
    drawn(trained()).save(TARGET)
