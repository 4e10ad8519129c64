"""Measure how much training ``RetrainWhenNeeded`` leaves out, and at what price: ResNet-14 on digits, block by block.

Run with ``python benchmarks/retraining_left_out.py``. Every seed trains one dense network. Then the first convolution
of each of the six blocks loses half of its filters, one block in each cycle, and a cycle is one epoch at the last
learning rate of the dense run. Accuracies are those on the test images. The time is that of the processor in the
cycles, with prunes and with the validations that decide, as a share of the arm that retrains every cycle.
"""

import argparse
import logging
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from statistics import mean

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table

from lightning_prune import (
    BlockByBlock,
    CycleCheckpoint,
    DistillFromDense,
    Filters,
    FineTune,
    FreezeLayers,
    IterativePruning,
    Linear,
    RetrainWhenNeeded,
)
from lightning_prune.lab import Classifier, Digits
from lightning_prune.lab.networks import ResNet

BLOCKS = {f"network.stages.{stage}.{block}.residual.0": 0.5 for stage in range(3) for block in range(2)}
ARMS = {
    "every cycle": lambda: [],
    "lost 1 point or more": lambda: [RetrainWhenNeeded(0.01)],
    "lost 5 points or more": lambda: [RetrainWhenNeeded(0.05)],
    "lost 20 points or more": lambda: [RetrainWhenNeeded(0.2)],
    "no cycle": lambda: [RetrainWhenNeeded(1.01)],
    "1 point, 30 % of the layers frozen": lambda: [RetrainWhenNeeded(0.01), FreezeLayers(0.3)],
    "1 point, distilled": lambda: [RetrainWhenNeeded(0.01), DistillFromDense()],
}


class Seconds(Callback):
    """The time of the processor from the start of the training to its end, which other programs do not change."""

    def on_train_start(self, *_: object) -> None:
        self.began = time.process_time()

    def on_train_end(self, *_: object) -> None:
        self.seconds = time.process_time() - self.began


def classifier(seed: int) -> Classifier:
    """ResNet-14 with the recipe of configs/digits."""
    pl.seed_everything(seed, verbose=False)
    return Classifier(
        ResNet(depth=14, channels=1, shortcut="projection"),
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=1e-4),
        partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[20, 26], gamma=0.1),
    )


def trainer(callbacks: list[Callback], epochs: int, folder: Path) -> pl.Trainer:
    """A trainer that shows nothing."""
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, callbacks=callbacks, default_root_dir=folder, logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def train_dense(seed: int, epochs: int, folder: Path) -> Path:
    """Train a dense network, and return its checkpoint."""
    callbacks = [IterativePruning(cycles=0), CycleCheckpoint(dirpath=str(folder))]
    trainer(callbacks, epochs, folder).fit(classifier(seed), datamodule=data())
    (path,) = folder.glob("*-last.ckpt")
    return path


def retrain(seed: int, dense: Path, beside: list[Callback], folder: Path) -> tuple[float, int, float]:
    """Prune and retrain, and return the accuracy on the test images, the steps and the seconds."""
    clock = IterativePruning(
        cycles=len(BLOCKS), retrain="1ep", sparsity=Linear(0.5, len(BLOCKS)), granularity=Filters(),
        allocation=BlockByBlock(BLOCKS), dense_run=dense,
    )  # fmt: skip
    watch, module = Seconds(), classifier(seed)
    fit = trainer([clock, FineTune(), *beside, watch], 0, folder)
    fit.fit(module, datamodule=data())
    tested = trainer([], 0, folder).test(module, datamodule=data(), verbose=False)
    return float(tested[0]["test/accuracy"]), fit.global_step, watch.seconds


def data() -> Digits:
    """The digits, a quarter of them for validation."""
    return Digits(batch_size=64, validation=0.25)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    results: dict[str, list[tuple[float, int, float]]] = {name: [] for name in ARMS}
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            dense = train_dense(seed, given.epochs, Path(folder))
            for name, beside in ARMS.items():
                results[name].append(retrain(seed, dense, beside(), Path(folder)))
    table = Table("retrained if the prune", "accuracy", "against every cycle", "steps left out", "time saved")
    always = results["every cycle"]
    for name, found in results.items():
        differences = [one[0] - other[0] for one, other in zip(found, always, strict=True)]
        spread = 1.96 * torch.tensor(differences).double().std().item() / len(found) ** 0.5
        steps = 1 - sum(one[1] for one in found) / sum(one[1] for one in always)
        seconds = 1 - sum(one[2] for one in found) / sum(one[2] for one in always)
        table.add_row(
            name, f"{mean(one[0] for one in found):.2%}", f"{mean(differences):+.2%} ± {spread:.2%}", f"{steps:.0%}",
            f"{seconds:.0%}",
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
