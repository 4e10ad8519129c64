"""The part of the demo that makes a network smaller and faster, and measures both networks from their files."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from rich.console import Console

from lightning_prune.deployment.profiling.profile_network import profile
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.report.side_by_side import Measured, side_by_side
from lightning_prune.lab.runs.quiet import quiet
from lightning_prune.lab.shrink_command import made_of, shrunk_from
from lightning_prune.shrinking.small_file import load_small

DENSE, SMALL = "dense.safetensors", "small.safetensors"
IMAGES, SHAPE = 64, (1, 8, 8)  # of a forward pass whose time is measured
ROUNDS = 200


def train_and_shrink(config: Path) -> Path:
    """Train, prune and retrain the network of a config, make it small, and save both networks.

    Args:
        config: The config, with ``CycleCheckpoint`` and ``Shrink(save="small.safetensors")`` among its callbacks.

    Returns:
        The folder of the run, with ``dense.safetensors`` and ``small.safetensors``.
    """
    fit = CommandLine(["fit", f"--config={config}", "--trainer.enable_model_summary=false"])
    folder = Path(str(fit.trainer.log_dir))
    (dense,) = folder.glob("checkpoints/cycle=00-*-last.ckpt")
    with quiet():
        shrunk_from(dense, folder / "config.yaml").save(folder / DENSE)  # which has nothing to remove
    return folder


def compare(folder: Path, console: Console) -> tuple[Measured, Measured]:
    """Load the dense and the small network of a run from their files, measure them, and print a table.

    Args:
        folder: The folder of the run.
        console: The console.

    Returns:
        What was measured of the dense network and of the small one.
    """
    files = {"dense": folder / DENSE, "half the operations": folder / SMALL}
    with quiet():
        loaded = {name: _loaded(folder, file) for name, file in files.items()}
        accuracies = {name: _accuracy(*one) for name, one in loaded.items()}
    whole, half = (module.network for module, _ in loaded.values())
    found = profile(half, torch.rand(IMAGES, *SHAPE), against=whole, batch=[IMAGES], rounds=ROUNDS)
    (timing,) = found.timings
    assert found.against is not None
    assert timing.against is not None
    dense, small = (
        Measured(name, accuracies[name], one.parameters, one.flops, files[name].stat().st_size, times.minimum)
        for name, one, times in zip(files, (found.against, found.sizes), (timing.against, timing.this), strict=True)
    )
    console.print(side_by_side(dense, small), highlight=False)
    return dense, small


def _loaded(folder: Path, file: Path) -> tuple[Any, Any]:
    """The module of a run as its file says, and the data of the run."""
    module, data = made_of(folder / "config.yaml")
    return load_small(file, module), data


def _accuracy(module: Any, data: Any) -> float:
    off = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", devices=1, **off)  # type: ignore[arg-type]
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    return found["test/accuracy"]
