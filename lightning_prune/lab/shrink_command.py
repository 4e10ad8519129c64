"""Make the network of a checkpoint small: ``lightning-prune shrink --ckpt last.ckpt --out small.safetensors``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from jsonargparse import ArgumentParser

from lightning_prune.basics.config_files import require_config
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.user_error import NothingThere, UserError

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule, LightningModule

    from lightning_prune.shrinking.removal import Shrunk

HELP = "Remove dead channels, heads and neurons, and write the small network."
CONFIG, CHECKPOINTS = "config.yaml", "checkpoints"
NETWORK = "a checkpoint of a pruned run, or the folder of the run"
SECTIONS = ("model", "data", "seed_everything")  # of the run's config. The Trainer is not needed.


def shrink_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune shrink``."""
    parser = ArgumentParser(prog="lightning-prune shrink", description=HELP)
    parser.add_argument("--ckpt", required=True, metavar="CKPT", help=NETWORK)
    parser.add_argument(
        "--out", type=str | None, metavar="FILE", help="the file (default: small.safetensors beside it)"
    )
    parser.add_argument(
        "--config", type=str | None, metavar="CONFIG", help="the config of the run (default: that in its folder)"
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, shrink and write."""
    options = shrink_parser().parse_args(list(arguments))
    checkpoint = network_file("--ckpt", options.ckpt, NETWORK)
    out = Path(options.out or checkpoint.with_name("small.safetensors"))
    if out.suffix != ".safetensors":
        raise UserError(f"`--out {out}` must end in .safetensors, by which the other commands know the file.")
    config = require_config(f"`--config {options.config}`", options.config) if options.config else config_of(checkpoint)
    sys.stdout.write(f"{shrink_checkpoint(checkpoint, config, out)}\nWritten: {out}\n")


def network_file(option: str, given: str, what: str) -> Path:
    """Find the file of a network.

    Args:
        option: The option, for errors.
        given: A file, or the folder of a run, which stands for its last.ckpt, or its newest checkpoint.
        what: What to give, for errors.

    Raises:
        NothingThere: If there is none.
    """
    path = Path(given)
    if path.is_file():
        return path
    saved = [one for place in (path / CHECKPOINTS, path) for one in place.glob("*.ckpt")]
    if not saved:
        found = "holds no checkpoint" if path.is_dir() else "does not exist"
        raise NothingThere(f"`{option} {given}` {found}. Give {what}.")
    return max(saved, key=lambda one: (one.name == LAST, one.stat().st_mtime_ns))


def config_of(checkpoint: Path) -> Path:
    """Find the config of the run that a checkpoint belongs to.

    Args:
        checkpoint: The checkpoint. Its run's folder is the folder above it, or its own.

    Raises:
        NothingThere: If there is no config in either.
    """
    places = [folder / CONFIG for folder in checkpoint.resolve().parents[:2]]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        folders = " or ".join(str(one.parent) for one in places)
        raise NothingThere(
            f"`--ckpt {checkpoint}`: there is no {CONFIG} of its run in {folders}. Give the config of the run: "
            "--config=<file>."
        )
    return found


def shrink_checkpoint(checkpoint: Path, config: Path, out: Path) -> str:
    """Make the network of a checkpoint small, and write it.

    Args:
        checkpoint: A checkpoint of the run.
        config: The config of the run, which names the module and its data.
        out: The file to write.

    Returns:
        What was removed, in words.

    Raises:
        UserError: If no unit is dead.
    """
    small = shrunk_from(checkpoint, config)
    if not small.record.alive and not small.masked:
        raise UserError(
            f"`--ckpt {checkpoint}` has nothing to remove: no channel, head or neuron of "
            f"{type(small.module).__name__} is zero in all of its weights. Prune whole units: "
            "IterativePruning(granularity=Structures())."
        )
    small.save(out)
    return str(small)


def shrunk_from(checkpoint: Path, config: Path) -> "Shrunk":
    """Make the network of a checkpoint small. If nothing in it is dead, it stays whole.

    Args:
        checkpoint: A checkpoint of the run.
        config: The config of the run, which names the module and its data.
    """
    from lightning_prune.lab.runs.first_batch import batch_of  # late: an error about a path comes at once
    from lightning_prune.shrinking.removal import shrink

    module, data = made_of(config)
    return shrink(module, checkpoint=checkpoint, example=batch_of(module, data))


def made_of(config: Path) -> "tuple[LightningModule, LightningDataModule | None]":
    """Make the module of a run and its data afresh.

    Args:
        config: The config of the run, as ``fit`` has saved it.

    Raises:
        UserError: If the config names no module.
    """
    from lightning_prune.lab.cli.command_line import CommandLine
    from lightning_prune.lab.cli.documents import read_config

    content = read_config(config, "--config")
    content = content.get("fit", content)
    if not isinstance(content, dict) or "model" not in content:
        raise UserError(f"`--config {config}` has no `model`: give the config of a run, as `fit` has saved it.")
    kept = yaml.safe_dump({name: content[name] for name in SECTIONS if name in content}, sort_keys=False)
    made = CommandLine([f"--config={kept}", "--trainer.logger=false"], run=False)
    return made.model, made.datamodule
