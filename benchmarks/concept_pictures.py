"""Draw the pictures of docs/start/concepts.md: ``python benchmarks/concept_pictures.py``. It trains nothing large."""

import io
from pathlib import Path
from typing import Any

import altair as alt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_prune as lp
from lightning_prune.ablation.plots import Plot, plot_masks
from lightning_prune.lab.report.canvas import COLORS
from lightning_prune.lab.report.vega import DATA, printed, with_rows

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "concepts"
DENSE, CYCLE, STEPS = 20, 10, 10  # epochs, epochs, steps of an epoch
POLICIES = (lp.FineTune, lp.LRRewind, lp.LinearRestart, lp.CyclicRestart, lp.DenseScheduleRestart, lp.CosineRestart)


class Tiny(LightningModule):
    """A layer whose rate drops twice in the dense run."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(10, 10)

    def training_step(self, batch: Any, index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[12, 16], gamma=0.1)]


class Rates(Callback):
    """Keep the rate of every step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def rates_of(policy: lp.LearningRatePolicy) -> list[float]:
    """The rates of a dense run and two cycles."""
    torch.manual_seed(0)
    written = Rates()
    pruning = lp.IterativePruning(cycles=2, retrain=f"{CYCLE}ep")
    off = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(max_epochs=DENSE, accelerator="cpu", callbacks=[pruning, policy, written], **off)
    trainer.fit(Tiny(), DataLoader(TensorDataset(torch.ones(STEPS, 10)), batch_size=1))
    return written.rates


def policies() -> Plot:
    """The rates of six policies, a panel for each."""
    names = [policy.__name__ for policy in POLICIES]
    rows = [
        {"policy": name, "epoch": step / STEPS, "rate": max(rate, 1e-5)}
        for name, policy in zip(names, POLICIES, strict=True)
        for step, rate in enumerate(rates_of(policy()))
    ]
    starts = [{"policy": name, "start": DENSE + cycle * CYCLE} for name in names for cycle in (0, 1)]
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, tickCount=4))
    y = alt.Y("rate:Q", title=None, axis=alt.Axis(tickCount=3, format="~g"))
    lines = alt.Chart().mark_line(interpolate="step-after", strokeWidth=1.8, color=COLORS[0]).encode(x=x, y=y)
    rules = alt.Chart().mark_rule(color="#999999", strokeDash=[2, 2]).encode(x="start:Q")
    panels = alt.layer(rules, lines, data=DATA).properties(width=190, height=90)
    header = alt.Header(title=None, labelAnchor="start", labelFontWeight="bold")
    return Plot(
        printed(with_rows(panels.facet(alt.Facet("policy:N", header=header, sort=names), columns=3), rows + starts))
    )


def units() -> Plot:
    """One matrix, half of it pruned in four units."""
    masks = {}
    for name, granularity in {
        "single weights": lp.Weights(),
        "two of every four": lp.NofM(2, 4),
        "blocks": lp.Blocks(4, 4),
        "whole rows": lp.Filters(),
    }.items():
        torch.manual_seed(0)
        layer = nn.Linear(24, 24, bias=False)
        masks[name] = lp.prune(layer, 0.5, granularity=granularity)["weight"]
    return plot_masks(masks)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    policies().save(FOLDER / "policies.svg")
    picture = Image.open(io.BytesIO(units()._repr_png_())).convert("RGB")
    picture.quantize(32).save(FOLDER / "units.png", optimize=True)  # many small squares: a tenth of the SVG
