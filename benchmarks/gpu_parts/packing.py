"""How many images a second runs of ResNet-20 train side by side on one device."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.gpu_parts.networks import Images
from benchmarks.gpu_parts.setting import Row, Setting, at_least, be_quiet, wait
from lightning_prune import ConstantRate, IterativePruning, OneShot
from lightning_prune.lab.networks.resnet import ResNet

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = 10**6  # steps


class Counter(Callback):
    """Trains while the round has a place for this run, and counts images in the middle of each round.

    Args:
        index: The number of this run.
        folder: Where the runs and who started them leave word for each other.
        batch: The images of a batch.
    """

    def __init__(self, index: int, folder: Path, batch: int) -> None:
        self.index, self.folder, self.batch = index, folder, batch
        self.images = 0
        self.measured = "0"

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if clock_of(trainer).cycle is None:
            return
        wait(pl_module.device)
        (self.folder / f"ready{self.index}").touch()
        round_, side_by_side, from_, to = self.word()
        while round_ == "wait" or self.index >= side_by_side:
            if round_ == "end":
                trainer.should_stop = True
                return
            time.sleep(0.02)
            round_, side_by_side, from_, to = self.word()
        if round_ == "end":
            trainer.should_stop = True
        elif from_ <= time.time() <= to:
            self.images += self.batch
        elif time.time() > to and self.measured != round_:
            (self.folder / f"count-{round_}-{self.index}").write_text(str(self.images))
            self.measured, self.images = round_, 0

    def word(self) -> tuple[str, int, float, float]:
        """The round, how many runs train in it, and between which times images count."""
        words = (self.folder / "round").read_text().split() if (self.folder / "round").exists() else []
        return (words[0], int(words[1]), float(words[2]), float(words[3])) if len(words) == 4 else ("wait", 0, 0, 0)


def rows(setting: Setting) -> Iterator[Row]:
    """Images a second of 1, 2, 4, 8 and 16 runs side by side, each in a cycle with masks."""
    sizes = (1, 2) if setting.small else (1, 2, 4, 8, 16)
    warm, counted = (0.5, 1.0) if setting.small else (1.0, 4.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [start(index, max(sizes), folder, setting) for index in range(max(sizes))]
        try:
            until(lambda: len(list(folder.glob("ready*"))) == len(runs), runs, setting)
            rates: dict[int, float] = {}
            for side_by_side in sizes:
                begin = time.time() + warm
                tell(folder, f"{side_by_side} {side_by_side} {begin} {begin + counted}")
                until(lambda n=side_by_side: len(list(folder.glob(f"count-{n}-*"))) == n, runs, setting)
                total = sum(int(path.read_text()) for path in folder.glob(f"count-{side_by_side}-*"))
                rates[side_by_side] = total / counted
                yield Row(f"{side_by_side} side by side: images a second, ResNet-20", rates[side_by_side])
        finally:
            tell(folder, "end 0 0 0")
            for run in runs:
                run.terminate()
                run.wait()
    best = max(rates, key=lambda one: rates[one])
    yield at_least("most images a second / those of one run", rates[best] / rates[1], 4, f"{best} side by side")


def tell(folder: Path, words: str) -> None:
    """Leave word of a round, whole or not at all."""
    (folder / "next").write_text(words)
    (folder / "next").replace(folder / "round")


def start(index: int, runs: int, folder: Path, setting: Setting) -> "subprocess.Popen[bytes]":
    """Start a run in a process of its own, with its share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // runs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.gpu_parts.packing", str(index), str(folder), str(int(setting.small))]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def until(done: Any, runs: list["subprocess.Popen[bytes]"], setting: Setting) -> None:
    """Wait for the runs.

    Raises:
        RuntimeError: If a run has ended, or the time is over.
    """
    while not done():
        if any(run.poll() is not None for run in runs):
            raise RuntimeError("a run has ended before it was measured: see its error above")
        if setting.left < 0:
            raise RuntimeError("the time is over")
        time.sleep(0.02)


def clock_of(trainer: Trainer) -> IterativePruning:
    """The pruning callback of a trainer."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))


def train(index: int, folder: Path, small: bool) -> None:
    """Train in a cycle until the word is to end."""
    be_quiet()
    gpu = torch.cuda.is_available()
    setting = Setting(torch.device("cuda" if gpu else "cpu"), small, folder)
    batch = 4 if small else 128
    module = Images(ResNet(depth=20), 32, batch, steps=2, device=setting.device)
    pruning = IterativePruning(cycles=1, retrain=f"{ENDLESS}it", sparsity=OneShot(0.9))
    callbacks = [pruning, ConstantRate(0.05), Counter(index, folder, batch)]
    module.loader.batches *= 500  # epochs that are long enough for their ends not to count
    Trainer(max_epochs=0, callbacks=callbacks, enable_checkpointing=False, **setting.trainer).fit(module)


if __name__ == "__main__":
    train(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1")
