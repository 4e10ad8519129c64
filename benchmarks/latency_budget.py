"""Measure what ``measure="latency"`` reaches: the time that was asked for, estimated, and measured after the fit.

Run with ``make bench``, or alone: ``python benchmarks/latency_budget.py``. A fit of two batches on random images prunes
each network by ``OneShot(0.5)``. Only the widths matter here, so nothing is learned.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torchvision
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_prune import IterativePruning, Latency, OneShot, Structures, layerwise
from lightning_prune.lab import Classifier, ResNet
from lightning_prune.lab.runs.quiet import quiet


def resnet18() -> nn.Module:
    """ResNet-18 with the stem for small images."""
    network = torchvision.models.resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"ResNet-8": lambda: ResNet(8), "ResNet-18": resnet18}


def reached(network: nn.Module, batch: int) -> tuple[dict[str, float], float]:
    """Prune a network to half of its time.

    Args:
        network: The network, for images of 32 x 32.
        batch: The number of images in the batch that is timed.

    Returns:
        What ``pruning.json`` says about the time, and the seconds of the fit.
    """
    images = DataLoader(TensorDataset(torch.randn(32, 3, 32, 32), torch.arange(32) % 10), batch_size=16)
    pruning = IterativePruning(
        cycles=1,
        retrain="1ep",
        sparsity=OneShot(0.5),
        allocation=layerwise,
        granularity=Structures(round_to=8),
        measure=Latency(batch=batch),
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=CSVLogger(folder, name="run", version=0),
            callbacks=[pruning],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Lightning, about data without workers and a validation
            trainer.fit(Classifier(network), images)
        record = json.loads(Path(folder, "run", "version_0", "pruning.json").read_text())
    return record["latency_reached"], time.perf_counter() - began


def main() -> None:
    """Prune, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8], help="images in a batch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("network", "batch", "with all units", "asked for", "estimated", "measured", "the whole fit")
    for name in options.networks:
        for batch in options.batch:
            torch.manual_seed(0)
            found, seconds = reached(NETWORKS[name](), batch)
            ratios = f"x {found['estimate']:.2f}", f"x {found['ratio']:.2f}"
            table.add_row(name, str(batch), f"{1e3 * found['whole']:.2f} ms", "x 0.50", *ratios, f"{seconds:.0f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
