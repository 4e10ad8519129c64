"""Measure what large studies and the lab cost: a dry run of 200 arms, a report of 2,000 rows, a fit with the whole lab.

Times are seconds of the CPU, which depend on the machine. The goals were set on a machine with two cores. Run by
``make bench``; ``--quick`` takes a tenth of the arms.
"""

import argparse
import itertools
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests" / "helpers")]  # the studies that are made up

from made_up_study import write_study  # noqa: E402

from lightning_prune.ablation import Ablation  # noqa: E402
from lightning_prune.ablation.config.study_config import read_study  # noqa: E402
from lightning_prune.ablation.report.report_command import report_study  # noqa: E402
from lightning_prune.lab.cli.command_line import CommandLine  # noqa: E402

STUDY = ROOT / "configs" / "ablations" / "digits_retraining.yaml"
LENET = ["--model.network=LeNet300100", "--model.network.inputs=64", "--data=Digits", "--data.batch_size=64"]


def cpu_seconds(function: Callable[[], Any]) -> float:
    """The seconds of the CPU that a call takes."""
    began = time.process_time()
    function()
    return time.process_time() - began


def dry_run(arms: int, folder: Path) -> float:
    """The tree of a study of as many arms with five seeds each."""
    given = read_study(STUDY).given
    lows = [round(0.01 + 0.001 * index, 4) for index in range(arms // 10)]
    grid = {"policy.low": lows, "policy.rise": [round(0.02 + 0.003 * index, 4) for index in range(10)]}
    study = {**given, "seeds": 5, "arms": {"SILO": given["arms"]["SILO"]}, "grid": grid}
    return cpu_seconds(lambda: Ablation.from_config(study).tree(folder / "none"))


def report(arms: int, folder: Path) -> tuple[float, float]:
    """The report of as many arms, with five seeds and six cycles each: seconds, and the MiB of the page."""
    plans = itertools.islice(("".join(letters) for letters in itertools.product("orsfc", repeat=5)), arms)
    named = {f"arm {index}: {plan}": plan for index, plan in enumerate(plans)}
    study = write_study(folder / "study", named, seeds=(0, 1, 2, 3, 4), search=(), failed=None)
    with (folder / "printed").open("w") as file:
        seconds = cpu_seconds(lambda: report_study(study, console=Console(file=file)))
    return seconds, (study / "report" / "index.html").stat().st_size / 2**20


def lab_ratios(folder: Path, epochs: int, rounds: int) -> dict[str, float]:
    """An epoch of ``lightning-prune fit``, or of less, over that of a bare Trainer. See :func:`fit_seconds`.

    Two fits of different lengths give the time of an epoch, without the start and the end of a fit. The fits alternate.
    """
    found: dict[str, list[float]] = {"lab": [], "no checkpoints": [], "checkpoints alone": []}
    for kind in (*found, "bare"):  # The first fit of a process imports and allocates.
        fit_seconds(folder / f"warm-{kind}", 1, kind)
    for index in range(rounds):
        seconds = {}
        for kind in (*found, "bare"):
            few, many = (fit_seconds(folder / f"{index}-{kind}-{one}", one, kind) for one in (epochs, 3 * epochs))
            seconds[kind] = many - few
        for kind, ratios in found.items():
            ratios.append(seconds[kind] / seconds["bare"])
    return {kind: statistics.median(ratios) for kind, ratios in found.items()}


def fit_seconds(folder: Path, epochs: int, kind: str) -> float:
    """The seconds of a dense fit of LeNet-300-100.

    Args:
        folder: Where its files go.
        epochs: How long it is.
        kind: ``"lab"`` with the whole lab, ``"no checkpoints"`` with all of it but those of every epoch, ``"checkpoints
            alone"`` with these and the Trainer, ``"bare"`` with the Trainer alone.
    """
    length = [f"--trainer.max_epochs={epochs}", "--trainer.accelerator=cpu", f"--trainer.logger.save_dir={folder}"]
    length += [f"--trainer.enable_checkpointing={str(kind != 'no checkpoints').lower()}"]
    made = CommandLine([*LENET, *length], run=False)
    trainer = made.trainer
    if kind in ("bare", "checkpoints alone"):
        trainer = Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=kind != "bare",
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        )  # fmt: skip
    return cpu_seconds(lambda: trainer.fit(made.model, datamodule=made.datamodule))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the arms")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arms = 20 if quick else 200
        goal = 25 * arms / 200
        console.print(f"dry run of {arms} arms x 5 seeds: {dry_run(arms, folder):.1f} CPU s (goal {goal:g})")
        arms = 7 if quick else 67
        seconds, size = report(arms, folder)
        console.print(f"report of {30 * arms} rows: {seconds:.1f} CPU s (goal 20), {size:.2f} MiB (goal 4)")
        ratios = lab_ratios(folder, *((4, 1) if quick else (10, 5)))
    console.print(
        f"epoch of LeNet-300-100 at batch 64, `lightning-prune fit` / Trainer alone: {ratios['lab']:.2f} (goal 1.10), "
        f"without the checkpoint of every epoch {ratios['no checkpoints']:.2f}, Lightning with such a checkpoint "
        f"{ratios['checkpoints alone']:.2f}"
    )


if __name__ == "__main__":
    main()
