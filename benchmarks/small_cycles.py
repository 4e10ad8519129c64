"""Measure what ``Shrink(at="cycles")`` gains while a network is trained.

Run with ``make bench``, or alone: ``python benchmarks/small_cycles.py``. The network is a ResNet-18 for CIFAR on images
of noise, 32 in a batch, on two threads. The masked run and the run with small cycles are fitted in turn in one process.
A step is the shortest time between the begins of two batches. A run is one dense epoch and five cycles of an epoch: its
steps, and what begins its cycles. The operations say how small the ratio could be, because the dense epoch and the
first cycles are large in both runs. To begin a small cycle takes about two masked steps longer than to begin a masked
one, which weighs more here than in runs with longer epochs: the last row is without it. All of it takes about four
minutes on two quiet cores.
"""

import argparse
import logging
import time
import warnings
from itertools import pairwise
from typing import Any

import torch
import torchvision
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_prune import FineTune, Geometric, IterativePruning, OneShot, Shrink, Structures
from lightning_prune.shrinking.slices import cut_all

STEP, RUN = 0.65, 0.6  # the most that a step at half of the operations, and a run of five cycles, may take
CLOCK = [time.perf_counter]
SAME = 1e-12  # the most that the weights may differ in double precision, relative to the largest of a tensor


class Noise(LightningModule):
    """ResNet-18 with the stem for CIFAR, which learns noise by heart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.resnet18(num_classes=10)
        self.net.conv1, self.net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


class Times(Callback):
    """Notes when batches begin, by epoch, and when the fit begins and ends."""

    def __init__(self) -> None:
        self.began: dict[int, list[float]] = {}
        self.ended: dict[int, float] = {}
        self.first = self.last = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.first = CLOCK[0]()

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.began.setdefault(trainer.current_epoch, []).append(CLOCK[0]())

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.ended[trainer.current_epoch] = CLOCK[0]()

    def on_train_end(self, *_: Any) -> None:
        self.last = CLOCK[0]()

    @property
    def shortest(self) -> float:
        """The shortest step of the last epoch."""
        times = self.began[max(self.began)]
        return min(after - before for before, after in pairwise(times))

    @property
    def run(self) -> float:
        """The whole fit."""
        return self.last - self.first

    @property
    def steps(self) -> float:
        """The steps of all epochs, without what is between epochs."""
        return sum(self.ended[epoch] - times[0] for epoch, times in self.began.items())


def train(
    shrinks: bool, pruning: IterativePruning, steps: int, size: int = 32, **options: Any
) -> tuple[Noise, Times, Any]:
    """Train the network from the same start on the same noise, for one dense epoch and the cycles."""
    seed_everything(0, verbose=False)
    module, times, shrink = Noise(), Times(), Shrink(at="cycles")
    noise = TensorDataset(torch.randn(32 * steps, 3, size, size), torch.randint(10, (32 * steps,)))
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_epochs=1,
        enable_model_summary=False, callbacks=[pruning, FineTune(), times, *([shrink] if shrinks else [])], **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(noise, batch_size=32))
    return module, times, shrink


def half() -> IterativePruning:
    """One prune to half of the operations."""
    return IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), measure="flops", granularity=Structures())


def five() -> IterativePruning:
    """Five prunes of 30 % of the operations that are left."""
    return IterativePruning(
        cycles=5, retrain="1ep", sparsity=Geometric(fraction=0.3), measure="flops", granularity=Structures()
    )


def difference(small: Noise, shrink: Shrink, masked: Noise) -> float:
    """The largest difference between the small network and what is left of the masked one."""
    left = cut_all(dict(masked.named_parameters()), shrink.shrunk.record.kept)
    return max(
        float(((left[name] - one).abs().max() / left[name].abs().max()).detach())
        for name, one in small.named_parameters()
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each kind")
    parser.add_argument("--steps", type=int, default=20, help="steps in an epoch of the run of five cycles")
    parser.add_argument("--size", type=int, default=32, help="the edge of the images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="count the time of the processor: for a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    CLOCK[0] = time.process_time if options.cpu_time else time.perf_counter
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    steps: dict[bool, list[float]] = {True: [], False: []}
    runs: dict[bool, list[Times]] = {True: [], False: []}
    for _ in range(options.rounds):
        for shrinks in (False, True):
            steps[shrinks].append(train(shrinks, half(), min(options.steps, 6), options.size)[1].shortest)
            runs[shrinks].append(train(shrinks, five(), options.steps, options.size)[1])
    whole = {shrinks: [times.run for times in found] for shrinks, found in runs.items()}
    alone = {shrinks: [times.steps for times in found] for shrinks, found in runs.items()}
    bound = sum(0.7**cycle for cycle in range(6)) / 6
    table = Table("", "masked", "small", "ratio", "at most", "by the operations")
    for name, found, most, by_operations in (
        ("a step at half of the operations", steps, f"{STEP:.2f}", 0.5),
        ("five cycles", whole, f"{RUN:.2f}", bound),
        ("their steps alone", alone, "", bound),
    ):
        masked, small = min(found[False]), min(found[True])
        table.add_row(name, f"{masked:.2f} s", f"{small:.2f} s", f"{small / masked:.2f}", most, f"{by_operations:.2f}")
    Console().print(table)
    masked, *_ = train(False, five(), 2, size=8, precision="64-true")
    small, _, shrink = train(True, five(), 2, size=8, precision="64-true")
    print(f"Final weights in double precision differ by {difference(small, shrink, masked):.1e}, at most {SAME:.0e}.")


if __name__ == "__main__":
    main()
