"""Measure what sharing saves: the Digits study against its arms alone, two workers against one, and the cost of a node.

Every figure is a ratio of times measured in one run of this script, or a count. Run by ``make bench``; ``--quick``
takes one seed instead of three.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
import yaml
from rich.console import Console

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.study_config import read_study
from lightning_prune.ablation.planning.resolving import quiet
from lightning_prune.lab.cli.command_line import CommandLine

STUDY = Path(__file__).parents[1] / "configs" / "ablations" / "digits_retraining.yaml"


def timed(
    given: dict, folder: Path, workers: int, clock: Callable[[], float] = time.monotonic
) -> tuple[float, Ablation]:
    """Run a study; return the seconds that its training took, without its planning."""
    study = Ablation.from_config(given)
    _ = study.epochs  # resolve first
    began = clock()
    study.run(folder, workers=workers)
    return clock() - began, study


def alone(configs: Sequence[Path], folder: Path) -> float:
    """Train every arm and seed by itself, in one fit each, as ``lightning-prune fit`` does; seconds of the CPU."""
    began = time.process_time()
    for config in configs:
        log = [f"--trainer.logger.save_dir={folder}", f"--trainer.logger.name={config.stem}"]
        silent = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        with quiet():
            made = CommandLine([f"--config={config}", *silent, *log], run=False)
            made.trainer.fit(made.model, datamodule=made.datamodule)
    return time.process_time() - began


def node_starts(folder: Path) -> Sequence[float]:
    """Seconds from the beginning of each node to its first batch, the first node of the process left out."""
    nodes = sorted((folder / "nodes").iterdir(), key=lambda one: (one / "job.json").stat().st_mtime)
    return [float((one / "first_batch").read_text()) - (one / "job.json").stat().st_mtime for one in nodes[1:]]


def side_by_side(given: dict, folder: Path, console: Console) -> None:
    """Train small networks side by side on one GPU: how much the throughput of runs grows with their number."""
    given["base"]["trainer"]["accelerator"] = "gpu"
    one = None
    for workers in (1, 2, 4, 8, 16):
        seconds, _ = timed(given, folder / f"gpu-{workers}", workers)
        one = one or seconds
        console.print(f"{workers} at once on {torch.cuda.get_device_name()}: {one / seconds:.2f} times the throughput")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    console = Console(highlight=False)
    given = read_study(STUDY).given
    given["seeds"] = [0] if options.quick else [0, 1, 2]
    given["base"] = yaml.safe_load(json.dumps(given["base"]))
    given["base"]["trainer"].setdefault("callbacks", []).append({"class_path": "first_batch.FirstBatch"})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shared_seconds, study = timed(given, folder / "shared", workers=0, clock=time.process_time)
        alone_seconds = alone(sorted((folder / "shared" / "arms").iterdir()), folder / "alone")
        one, _ = timed(given, folder / "one", workers=1)
        two, _ = timed(given, folder / "two", workers=2)
        starts = node_starts(folder / "shared")
        if torch.cuda.is_available():
            side_by_side(given, folder, console)
    shared, separate = study.epochs
    arms, cycles = len(study.config.arms), 5
    bound = (1 + arms * cycles / 2) / (arms * (1 + cycles / 2))
    console.print(f"epochs trained: {shared} for {separate} of arms alone, {shared / separate:.3f} (bound {bound:.3f})")
    console.print(
        f"time: {shared_seconds / alone_seconds:.3f} of arms alone, in one process, in seconds of the CPU (goal 0.85)"
    )
    console.print(f"two workers: {one / two:.2f} times one, on {os.cpu_count()} cores, their start included")
    console.print(f"start of a node to its first batch, once warm: {median(starts):.2f} s (most: {max(starts):.2f} s)")


if __name__ == "__main__":
    main()
