"""``python -m lightning_prune.lab.demo``: prune a network on real digits with two retraining variants, and compare."""

import sys
import time
from pathlib import Path

import torch
from rich.console import Console

from lightning_prune.ablation.report.runs_report import report_runs
from lightning_prune.basics.config_files import shipped_folder
from lightning_prune.lab.cli.command_line import CommandLine

CONFIGS = shipped_folder() / "digits"
RUNS = Path("runs") / "digits"
VARIANTS = ("fine_tune", "lr_rewind")
PICTURE = "metric_over_density.png"


def main() -> None:
    """Train, prune and retrain LeNet-300-100 once per variant, then report.

    This does the same as these commands, in one process::

        lightning-prune fit --config digits/fine_tune
        lightning-prune fit --config digits/lr_rewind
        lightning-prune report runs/digits/fine_tune runs/digits/lr_rewind --out runs/digits/report
    """
    if not CONFIGS.is_dir():
        sys.exit(f"The demo reads {CONFIGS}, which is not there. Run it from a clone of the repository.")
    torch.set_num_threads(1)  # at this size, threads wait for one another longer than they compute
    console = Console()
    began = time.monotonic()
    for variant in VARIANTS:
        config = CONFIGS / f"{variant}.yaml"
        console.print(f"\n{config.read_text().splitlines()[0].removeprefix('# ')}", style="bold", highlight=False)
        CommandLine(["fit", f"--config={config}", "--trainer.enable_model_summary=false"])
    console.print(f"\nTrained for {time.monotonic() - began:.0f} s.\n")
    folder = report_runs([RUNS / variant for variant in VARIANTS], out=RUNS / "report")
    said = f"\nThe picture: {folder / PICTURE}\nThe page with all pictures: {folder / 'index.html'}"
    console.print(said, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
