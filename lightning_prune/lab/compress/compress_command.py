"""Prune, retrain, shrink and export trained weights: ``lightning-prune compress --config my.yaml --speedup 2``."""

import sys
from collections.abc import Sequence
from math import isclose
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser

from lightning_prune.basics.config_files import config_name, require_config
from lightning_prune.basics.user_error import NothingThere, OutOfReach, UserError

LOGGER = "lightning_prune.lab.runs.run_folder.RunLogger"
HELP = "Make a trained network smaller and faster: prune whole units, retrain, remove them and export."


def compress_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune compress``. All other options are those of ``fit``."""
    parser = ArgumentParser(prog="lightning-prune compress", description=f"{HELP} Takes the options of fit, too.")
    parser.add_argument("--config", required=True, type=str, metavar="FILE", help="the config of a fit, as you have it")
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        metavar="CKPT",
        help="the trained weights: a checkpoint of a Trainer, or a state dict (default: train the config first)",
    )
    parser.add_argument(
        "--speedup", type=float, default=2.0, help="the operations (or time) of the network over those of the small one"
    )
    parser.add_argument(
        "--retrain", type=str | None, metavar="LENGTH", help="such as 10ep or 500it (default: as the dense run)"
    )
    parser.add_argument("--cycles", type=int, default=1, help="in how many prunes, each with its retraining")
    parser.add_argument(
        "--measure",
        type=Literal["flops", "latency"] | None,
        help="what is divided by --speedup: operations, or measured time (default: flops)",
    )
    parser.add_argument(
        "--export", type=str | None, metavar="FILE", help="a file for another runtime, such as model.onnx"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the config of the fit, and stop")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, print the config of the fit, and run it."""
    parser = compress_parser()
    ours, others = divide(arguments, parser)
    options = parser.parse_args(ours)
    path = require_config(f"`--config {options.config}`", options.config)
    weights = None if options.ckpt_path is None else Path(options.ckpt_path)
    export_to = None if options.export is None else Path(options.export)
    if weights is not None and not weights.is_file():
        raise NothingThere(f"`--ckpt_path {weights}` is no file. Give a checkpoint with trained weights.")
    text = config_of_fit(path, options, weights)
    if export_to is not None:
        from lightning_prune.deployment.export import refuse_export

        refuse_export(export_to)
    sys.stdout.write(f"# The same, as the config of a fit: lightning-prune fit --config FILE\n{text}\n")
    sys.stdout.flush()
    if options.dry_run:
        return
    from lightning_prune.lab.compress.compress import compress  # late: --help and --dry-run need no training

    try:
        is_right = compress(text, others, weights, export_to)
    except OutOfReach as error:
        raise _in_words_of_this_command(error, options.speedup) from error
    if not is_right:
        sys.exit(1)


def divide(words: Sequence[str], parser: ArgumentParser) -> tuple[list[str], list[str]]:
    """Divide the words into options of this command and options of ``fit``.

    Args:
        words: The words after the command.
        parser: The parser of this command.

    Example:
        >>> divide(["--speedup", "3", "--data.batch_size=8", "--dry-run"], compress_parser())
        (['--speedup', '3', '--dry-run'], ['--data.batch_size=8'])
    """
    known = {*parser._option_string_actions, "-c"}
    divided: tuple[list[str], list[str]] = ([], [])
    place = 0
    for word in words:
        if word.startswith("-"):
            place = int(word.partition("=")[0] not in known)
        divided[place].append("--config" + word[2:] if word.partition("=")[0] == "-c" else word)
    return divided


def config_of_fit(path: Path, options: Any, weights: Path | None) -> str:
    """Write the config of the fit as YAML.

    Args:
        path: The user's config.
        options: The parsed options.
        weights: The trained weights.

    Raises:
        UserError: If an option lies outside its range, or a file is missing.
    """
    from lightning_prune.lab.cli.documents import read_config
    from lightning_prune.lab.compress.fit_config import Compression, compressing
    from lightning_prune.lab.compress.trained_weights import can_be_continued, read_weights

    given = read_config(path, "--config")
    goal = Compression(options.speedup, options.retrain, options.cycles, options.measure)
    continued = weights is not None and can_be_continued(weights)
    if weights is not None and not continued:
        read_weights(weights)  # refuses what a fit would refuse, in a dry run, too
    made = compressing(given, goal, weights, continued)
    named = {
        "class_path": "lightning_prune.lab.runs.run_folder.RunLogger",
        "init_args": {"name": f"compress/{config_name(path)}"},
    }
    made["trainer"].setdefault("logger", named)
    return yaml.safe_dump(made, sort_keys=False, default_flow_style=None, width=120)


def _in_words_of_this_command(error: OutOfReach, speedup: float) -> UserError:
    """Name ``--speedup``, unless the sparsity that cannot be reached comes from another option."""
    if not isclose(error.density, 1 / speedup, rel_tol=1e-3):
        return error
    return UserError(
        f"`--speedup {speedup:g}` cannot be reached: {1 / error.least:.3g} is the most, with the least number of units "
        "in every group. Give a lower --speedup, or a lower minimum or round_to in `pruning.granularity` of the config."
    )
