"""``python -m lightning_prune.lab.demo``: prune on real digits in two ways, then make a network small."""

import sys
import time
from pathlib import Path

import torch
from rich.console import Console

from lightning_prune.ablation.report.runs_report import report_runs
from lightning_prune.basics.config_files import shipped_folder
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.smaller_and_faster import IMAGES, ROUNDS, SMALL, compare, train_and_shrink

CONFIGS = shipped_folder() / "digits"
RUNS = Path("runs") / "digits"
VARIANTS = ("fine_tune", "lr_rewind")
STRUCTURES = "structures"
PICTURE = "metric_over_density.png"


def main() -> None:
    """Train, prune and retrain LeNet-300-100 once per variant, and report. Then halve the operations of a ConvNet.

    This does the same as these commands, in one process, and measures the last two networks::

        lightning-prune fit --config digits/fine_tune
        lightning-prune fit --config digits/lr_rewind
        lightning-prune report runs/digits/fine_tune runs/digits/lr_rewind --out runs/digits/report
        lightning-prune fit --config digits/structures
        lightning-prune shrink --ckpt runs/digits/structures/version_0
    """
    if not CONFIGS.is_dir():
        sys.exit(f"The demo reads {CONFIGS}, which is not there. Run it from a clone of the repository.")
    torch.set_num_threads(1)  # at this size, threads wait for one another longer than they compute
    console = Console()
    began = time.monotonic()
    for variant in VARIANTS:
        CommandLine(["fit", f"--config={_announced(variant, console)}", "--trainer.enable_model_summary=false"])
    console.print(f"\nTrained for {time.monotonic() - began:.0f} s.\n")
    folder = report_runs([RUNS / variant for variant in VARIANTS], out=RUNS / "report")
    said = f"\nThe picture: {folder / PICTURE}\nThe page with all pictures: {folder / 'index.html'}"
    console.print(said, soft_wrap=True, highlight=False)
    folder = train_and_shrink(_announced(STRUCTURES, console))
    console.print("\nSmaller and faster: both networks, loaded from their files", style="bold")
    compare(folder, console)
    console.print(
        "Accuracy: one of the 360 test images is 0.3 points. The small network was trained for twice as long, because "
        "it was retrained. FLOPs: of one image. A multiplication and an addition are two. Time: of one forward pass of "
        f"{IMAGES} images on one thread, the fastest of {ROUNDS} in turn.",
        highlight=False,
    )
    said = f"Test it again: lightning-prune test --config {folder / 'config.yaml'} --ckpt_path {folder / SMALL}"
    console.print(said, soft_wrap=True, highlight=False)


def _announced(name: str, console: Console) -> Path:
    """The config of that name, after its first line is printed."""
    config = CONFIGS / f"{name}.yaml"
    console.print(f"\n{config.read_text().splitlines()[0].removeprefix('# ')}", style="bold", highlight=False)
    return config


if __name__ == "__main__":
    main()
