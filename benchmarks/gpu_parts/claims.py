"""Claim 1: rewinding the learning rate against fine-tuning, with ResNet-20, several runs side by side.

Every run writes its result into the folder of the results, and a later call goes on from there: finished runs are not
trained again, and others continue from their last checkpoint.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from benchmarks.gpu_parts.cifar import Cifar20, read_once
from benchmarks.gpu_parts.setting import Row, Setting, be_quiet
from lightning_prune import FineTune, IterativePruning, Levels, LRRewind, OneShot, WeightRewind

ROOT = Path(__file__).resolve().parents[2]
SEEDS, WORKERS = 5, 15
LEVELS = [0.5, 0.8, 0.95]
ARMS = ("fine-tuning", "LR rewinding", "weight rewinding", "control: LR rewinding, nothing pruned")
# Student's t for a two-sided 95 % interval, by degrees of freedom.
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


@dataclass(frozen=True)
class Size:
    """How long is trained: epochs of the dense run and of a cycle, and the images of a batch."""

    dense: int
    retrain: int
    batch: int
    seeds: int
    workers: int

    @classmethod
    def of(cls, small: bool) -> "Size":
        """The sizes for a GPU, or small ones."""
        return cls(3, 1, 16, 2, 2) if small else cls(30, 10, 512, SEEDS, WORKERS)

    @property
    def point(self) -> str:
        """The rewind point: a cycle before the end of the dense run."""
        return f"{self.dense - self.retrain}ep"


class Accuracies(Callback):
    """Writes the test accuracy at the end of each cycle, 0 for the dense run."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        clock = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        cycle = clock.cycle.index if clock.cycle else 0
        self.found[str(cycle)] = pl_module.test_accuracy()  # after each epoch: the last one of a cycle stays

    def state_dict(self) -> dict[str, float]:
        return dict(self.found)

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.found = dict(state_dict)


def rows(setting: Setting) -> Iterator[Row]:
    """Accuracies at each density, and differences to fine-tuning with 95 % intervals over seeds."""
    size = Size.of(setting.small)
    folder = setting.out / ("claims-small" if setting.small else "claims")
    folder.mkdir(parents=True, exist_ok=True)
    images = read_once(setting.data, folder, setting.small)
    for lock in folder.glob("*.lock"):
        lock.unlink()  # of a call that is over
    workers = [start(folder, images, setting) for _ in range(size.workers)]
    try:
        while any(worker.poll() is None for worker in workers) and setting.left > 5:
            time.sleep(0.2)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    # -15: stopped at the limit, which a later call makes up for.
    if failed := [worker.returncode for worker in workers if worker.returncode not in (0, -15)]:
        raise RuntimeError(f"{len(failed)} of the workers failed: see the error above")
    yield from table(folder, size, "CIFAR-10" if setting.data else "generated images")


def start(folder: Path, images: Path, setting: Setting) -> "subprocess.Popen[bytes]":
    """Start a worker, which trains what is to be done until nothing is left."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.gpu_parts.claims", str(folder), str(images), str(int(setting.small))]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def table(folder: Path, size: Size, data: str) -> Iterator[Row]:
    """The rows of what is finished so far."""
    found = {
        arm: {
            seed: json.loads(path.read_text())
            for seed in range(size.seeds)
            if (path := result_of(folder, arm, seed)).exists()
        }
        for arm in ("dense", *ARMS)
    }
    done = sum(map(len, found.values()))
    yield Row("runs that are finished", float(done), note=f"of {size.seeds * (1 + len(ARMS))}; {data}")
    for arm, by_seed in found.items():
        cycles = sorted({cycle for one in by_seed.values() for cycle in one}, key=int)
        for cycle in cycles if arm == "dense" else cycles[-len(LEVELS) :]:
            values = [100 * one[cycle] for one in by_seed.values() if cycle in one]
            name = arm if arm == "dense" else f"{arm}, cycle {cycle}"
            yield Row(f"test accuracy: {name}, points", mean(values), note=f"{len(values)} seeds")
    for arm in ARMS[1:3]:
        for index, level in enumerate(LEVELS, start=1):
            yield from difference(arm, str(index), level, found[arm], found[ARMS[0]])


def difference(
    arm: str, cycle: str, level: float, one: dict[int, dict[str, float]], other: dict[int, dict[str, float]]
) -> Iterator[Row]:
    """An arm against fine-tuning, seed by seed."""
    differences = [100 * (one[seed][cycle] - other[seed][cycle]) for seed in sorted(one.keys() & other.keys())]
    if len(differences) < 2:
        return
    reach = QUANTILES[len(differences) - 1] * stdev(differences) / math.sqrt(len(differences))
    low, high = mean(differences) - reach, mean(differences) + reach
    decided = "better" if low > 0 else "worse" if high < 0 else "not significant"
    note = f"95 % interval {low:+.2f} to {high:+.2f}, {len(differences)} seeds: {decided}"
    yield Row(f"{arm} - fine-tuning at density {1 - level:.0%}, points", mean(differences), note=note)


def result_of(folder: Path, arm: str, seed: int) -> Path:
    """The file of a result."""
    return folder / f"{arm.replace(':', '').replace(',', '').replace(' ', '-')}-{seed}.json"


def work(folder: Path, images: Path, small: bool) -> None:
    """Train what nobody trains, until all is done."""
    be_quiet()
    size = Size.of(small)
    tasks = [("dense", seed) for seed in range(size.seeds)]
    tasks += [(arm, seed) for seed in range(size.seeds) for arm in ARMS]
    while unfinished := [task for task in tasks if not result_of(folder, *task).exists()]:
        for arm, seed in unfinished:
            ready = arm == "dense" or result_of(folder, "dense", seed).exists()
            if ready and take(result_of(folder, arm, seed).with_suffix(".lock")):
                train(folder, images, arm, seed, size)
                break
        else:
            if all(result_of(folder, *task).with_suffix(".lock").exists() for task in unfinished):
                return  # others train what is left
            time.sleep(0.5)


def take(lock: Path) -> bool:
    """Take a task, unless somebody has."""
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def train(folder: Path, images: Path, arm: str, seed: int, size: Size) -> None:
    """Train one run to its end, from its last checkpoint if there is one."""
    result = result_of(folder, arm, seed)
    seed_everything(seed, verbose=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = Cifar20(images, size.batch, size.dense, device)
    accuracies = Accuracies()
    keep = ModelCheckpoint(folder / result.stem, save_last=True, save_top_k=0, every_n_epochs=5)
    dense = None if arm == "dense" else folder / result_of(folder, "dense", seed).stem / "last.ckpt"
    trainer = Trainer(
        max_epochs=size.dense if dense is None else 0, precision="bf16-mixed" if device.type == "cuda" else "32-true",
        callbacks=[*callbacks(arm, dense, size), accuracies, keep], **Setting(device, False, folder).trainer,
    )  # fmt: skip
    last = folder / result.stem / "last.ckpt"
    trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=True)
    trainer.save_checkpoint(last)
    result.write_text(json.dumps(accuracies.found))


def callbacks(arm: str, dense: Path | None, size: Size) -> Sequence[Callback]:
    """The callbacks of an arm, or those that record what the arms need of the dense run."""
    rewinding, restarting = WeightRewind(to=size.point), LRRewind(to=size.point)
    if dense is None:
        return [IterativePruning(cycles=0), rewinding, restarting]
    sparsity = OneShot(0.0) if arm.startswith("control") else Levels(LEVELS)
    pruning = IterativePruning(cycles=len(LEVELS), retrain=f"{size.retrain}ep", sparsity=sparsity, dense_run=dense)
    return {
        "fine-tuning": [pruning, FineTune()],
        "LR rewinding": [pruning, restarting],
        "weight rewinding": [pruning, rewinding, restarting],
    }.get(arm, [pruning, restarting])


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1")
