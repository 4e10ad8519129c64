"""Measure the cost of pruning: time and memory against dense training and against ``torch.nn.utils.prune``.

Run with ``make bench``. Everything that concerns time is a ratio of medians of alternating measurements in one
process, because absolute times depend on the machine and on what else it does.
"""

import argparse
import copy
import logging
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torchvision
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from small_steps import small_step_ratios
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune
from torch.utils.data import DataLoader, TensorDataset

from lightning_prune import (
    Granularity,
    IterativePruning,
    LRRewind,
    OneShot,
    Prunable,
    Structures,
    Weights,
    globally,
    magnitude,
)
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.pruner import Pruner

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-50": torchvision.models.resnet50,
    "ViT-B/16": torchvision.models.vit_b_16,
}


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    measured: str
    value: float
    target: str
    met: bool
    unit: str = ""
    comparison: str = ""


# Training steps, in a real fit.


class Cifar18(LightningModule):
    """ResNet-18 with a stem for 32x32 images, under SGD with momentum."""

    def __init__(self, batch: int = 4, steps: int = 100) -> None:
        super().__init__()
        self.network = torchvision.models.resnet18(num_classes=10)
        self.network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.network.maxpool = nn.Identity()
        self.batch, self.steps = batch, steps

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)

    def train_dataloader(self) -> DataLoader[Any]:
        images = torch.randn(self.batch, 3, 32, 32)
        endless = TensorDataset(images.repeat(self.steps, 1, 1, 1), torch.arange(self.batch * self.steps) % 10)
        return DataLoader(endless, batch_size=self.batch)


class Alternate(Callback):
    """Times the steps of a fit, every second one without our callbacks and masks."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {"ours": [], "dense": []}

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self.all = list(trainer.callbacks)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        now = time.perf_counter()
        pruning = next(callback for callback in self.all if isinstance(callback, IterativePruning))
        if hasattr(self, "last"):
            self.times[self.kind].append(now - self.last)
        else:
            self.masks = pruning._run.hold._masks
        self.kind = "dense" if getattr(self, "kind", "dense") == "ours" else "ours"
        pruning._run.hold._masks = self.masks if self.kind == "ours" else {}
        trainer.callbacks = self.all if self.kind == "ours" else [self]
        self.last = time.perf_counter()

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.callbacks = self.all


def step_ratio(batch: int, steps: int, sparsity: float = 0.9, granularity: Granularity = Weights()) -> float:
    """The time of a step with masks over that of a dense one."""
    watch = Alternate()
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(sparsity), granularity=granularity)
    quiet_fit(Cifar18(batch, steps), [pruning, watch], 0)
    return ratio_of_pairs(watch.times["ours"], watch.times["dense"])


def torch_step_ratio(batch: int, steps: int) -> float:
    """The same for ``torch.nn.utils.prune``, in a plain loop."""
    dense = Cifar18(batch, steps)
    pruned = copy.deepcopy(dense)
    torch_prune.global_unstructured(_prunable(pruned), torch_prune.L1Unstructured, amount=0.9)
    runs = {"dense": (dense, dense.configure_optimizers()), "pruned": (pruned, pruned.configure_optimizers())}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for batch_of_data in dense.train_dataloader():
        for name, (module, optimizer) in runs.items():
            began = time.perf_counter()
            optimizer.zero_grad()
            module.training_step(batch_of_data, 0).backward()
            optimizer.step()
            times[name].append(time.perf_counter() - began)
    return ratio_of_pairs(times["pruned"], times["dense"])


def ratio_of_pairs(one: list[float], other: list[float]) -> float:
    """The median ratio of neighbours, without the first ones, which allocate."""
    return statistics.median(a / b for a, b in zip(one[5:], other[5:], strict=False))


# The pruning event.


@dataclass(frozen=True)
class Event:
    """What a pruning event costs."""

    torchs: float
    ours: float
    read_pass: float
    extra_memory: int
    allowed_memory: int
    mask_bytes: float


def event(kind: str, rounds: int) -> Event:
    """Global magnitude pruning of a dense network to 80 % sparsity, alternating with torch's."""
    network = NETWORKS[kind]()
    weights = Prunable()(network).weights
    state = {name: weight.detach().clone() for name, weight in weights.items()}
    ours, reads, torchs = [], [], []
    mask_bytes = 0.0
    for index in range(rounds):
        for name, weight in weights.items():
            weight.data.copy_(state[name])
        for _ in range(5):  # ours is short: several for each of torch's, and the same number of reads
            with torch.no_grad():
                reads.append(timed(lambda: [weight.sum() for weight in weights.values()]))
            pruner = Pruner(weights, magnitude, globally, seed=0)
            hold = Hold(weights)
            ours.append(timed(partial(prune_once, pruner, hold)))
            masks = pruner.held().values()
            mask_bytes = sum(m.numel() * m.element_size() for m in masks) / pruner.masks.size
            for name, weight in weights.items():
                weight.data.copy_(state[name])
        if index < (rounds + 1) // 2:  # seconds each: half as many
            other = copy.deepcopy(network)
            method = torch_prune.L1Unstructured
            torchs.append(timed(partial(torch_prune.global_unstructured, _prunable(other), method, amount=0.8)))
    largest = max(weight.numel() * weight.element_size() for weight in weights.values())
    total = sum(weight.numel() for weight in weights.values())
    median = statistics.median
    # In a process of its own: memory that was freed here would hide what the event takes.
    extra = int(subprocess.check_output([sys.executable, __file__, "--memory", kind], text=True))
    return Event(median(torchs), median(ours), median(reads), extra, total + 6 * largest, mask_bytes)


def extra_memory(name: str) -> int:
    """The highest memory use of the event above that before it, in bytes; 0 where the system does not tell."""
    weights = Prunable()(NETWORKS[name]()).weights
    pruner, hold = Pruner(weights, magnitude, globally, seed=0), Hold(weights)
    before = reset_peak()
    prune_once(pruner, hold)
    return peak() - before


def prune_once(pruner: Pruner, hold: Hold) -> None:
    """Score, allocate, mask and apply."""
    pruner.prune_(1, 0.8)
    hold.use(pruner.held())


def second_prune_ratio(rounds: int) -> float:
    """The time of the second prune of bfloat16 weights over that of the first, each to 80 % of what lives."""
    ratios = []
    for _ in range(rounds):
        weights = {str(place): nn.Parameter(torch.randn(2560, 1024).bfloat16()) for place in range(8)}
        pruner, hold = Pruner(weights, magnitude, globally, seed=0), Hold(weights)
        first = timed(lambda: pruner.prune_(1, 0.2))  # noqa: B023
        hold.use(pruner.held())
        ratios.append(timed(lambda: pruner.prune_(2, 0.36)) / first)  # noqa: B023
    return statistics.median(ratios)


# Checkpoints.


def checkpoint_ratio() -> float:
    """The size of a checkpoint with masks and the recorded rates over that of the dense run."""
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for callbacks in ([], [IterativePruning(cycles=1, retrain="1ep"), LRRewind()]):
            trainer = quiet_fit(Cifar18(steps=20), callbacks, 1)
            path = Path(folder) / f"{len(sizes)}.ckpt"
            trainer.save_checkpoint(path)
            sizes.append(path.stat().st_size)
    return sizes[1] / sizes[0]


# The parts.


def results(quick: bool) -> Iterator[Result]:
    """Every line of the table, as it is measured."""
    steps = 48 if quick else 240
    for batch, limit in ((4, 1.04), (32, 1.01)):
        ratio = step_ratio(batch, steps if batch == 4 else steps // 2)
        torchs = torch_step_ratio(batch, steps // 2)
        name = f"training step at batch {batch}, ResNet-18, 90 % sparse: ours / dense"
        yield Result(name, ratio, f"<= {limit}", ratio <= limit, comparison=f"torch.nn.utils.prune {torchs:.2f}")
    ratio = step_ratio(32, steps // 2, 0.5, Structures())
    yield Result("the same at batch 32, half of the channels masked", ratio, "<= 1.02", ratio <= 1.02)
    small = small_step_ratios(quick)
    for name, kind, limit in (
        ("LeNet-300-100, batch 64, in the dense run: with IterativePruning and LRRewind / Lightning", "dense", 1.02),
        ("the same in the cycles", "cycle", 1.04),
        ("5,000 tensors of 64 weights, in the cycles", "tensors", 1.15),
    ):
        yield Result(f"training step, {name}", small[kind], f"<= {limit}", small[kind] <= limit)
    for name, times in {"ResNet-50": 40, "ViT-B/16": 60}.items():
        cost = event(name, rounds=1 if quick else 5)
        yield Result(
            f"pruning event, {name}, global magnitude to 80 %: torch / ours", cost.torchs / cost.ours, f">= {times}",
            cost.torchs / cost.ours >= times, comparison=f"{cost.torchs:.2f} s / {cost.ours:.3f} s",
        )  # fmt: skip
        passes = cost.ours / cost.read_pass
        yield Result(f"the same: event / one read pass over the weights, {name}", passes, "<= 25", passes <= 25)
        megabytes = cost.extra_memory / 2**20
        allowed = cost.allowed_memory / 2**20
        yield Result(
            f"extra peak memory of the event, {name}", megabytes, f"<= {allowed:.0f}", megabytes <= allowed, " MiB",
            "1 byte a weight + 6 x the largest tensor",
        )  # fmt: skip
    ratio = second_prune_ratio(5 if quick else 15)
    yield Result("pruning event, 20 M bfloat16 weights: the second / the first", ratio, "<= 2", ratio <= 2)
    yield Result("memory of the masks, bytes a prunable weight", cost.mask_bytes, "<= 1", cost.mask_bytes <= 1)
    ratio = checkpoint_ratio()
    yield Result("checkpoint with momentum and LRRewind / dense checkpoint", ratio, "<= 1.04", ratio <= 1.04)


def quiet_fit(module: LightningModule, callbacks: list[Callback], max_epochs: int) -> Trainer:
    """Train on the CPU without output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=max_epochs, callbacks=callbacks, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module)
    return trainer


def timed(function: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def reset_peak() -> int:
    """Forget the highest memory use so far; the current one in bytes. Linux only, elsewhere 0."""
    if not Path("/proc/self/clear_refs").exists():
        return 0
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def peak() -> int:
    """The highest memory use since :func:`reset_peak`, in bytes."""
    return _memory("VmHWM") if Path("/proc/self/clear_refs").exists() else 0


def _memory(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def _prunable(network: nn.Module) -> list[tuple[nn.Module, str]]:
    """The same weights as ours, as torch wants them."""
    owners = dict(network.named_modules())
    names = Prunable()(network).weights
    return [(owners[name.rpartition(".")[0]], name.rpartition(".")[2]) for name in names]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, to see that it works")
    parser.add_argument("--memory", choices=NETWORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # untrained networks lose whole layers, which is not the point here
    if arguments.memory:
        print(extra_memory(arguments.memory))
        return
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    pl.seed_everything(0, verbose=False)
    table = Table("measured", "value", "target", "met", "for comparison")
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=15)
        for result in results(arguments.quick):
            met = "[green]yes[/]" if result.met else "[red]no[/]"
            table.add_row(
                result.measured,
                f"{result.value:.{3 if result.value < 10 else 1}f}{result.unit}",
                result.target,
                met,
                result.comparison,
            )
            progress.update(task, advance=1, description=result.measured)
    Console(width=150 if not sys.stdout.isatty() else None).print(table)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
