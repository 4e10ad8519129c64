"""Measure what a pruned network gains: ``lightning-prune profile --ckpt last.ckpt --against dense.ckpt``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from lightning_prune.basics.config_files import require_config
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.shrink_command import CONFIG, config_of, made_of, network_file, shrunk_from

if TYPE_CHECKING:
    from torch import nn

    from lightning_prune.deployment.profiling.profile_network import Told

HELP = "Measure a network: its size, its speed, and what it gains over the dense one."
FOLDER, JSON = "profile", "profile.json"
NETWORK = "a checkpoint, a small.safetensors, or the folder of a run"


def profile_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune profile``."""
    parser = ArgumentParser(prog="lightning-prune profile", description=HELP)
    add = parser.add_argument
    add("--ckpt", required=True, metavar="NETWORK", help=f"{NETWORK}; dead channels, heads and neurons are removed")
    add("--against", type=str | None, metavar="NETWORK", help="what to compare with (default: the whole network)")
    add("--batch", default="1,8,32", metavar="N,...", help="numbers of samples in a batch")
    add("--threads", default="1", metavar="N,...", help="numbers of threads")
    add("--runtime", default="torch", metavar="NAME,...", help="torch, onnxruntime, openvino")
    add("--rounds", type=int, default=30, help="how often each network is run in turn")
    add("--config", type=str | None, metavar="CONFIG", help="the config of the run (default: that in its folder)")
    add("--out", type=str | None, metavar="FOLDER", help=f"where files go (default: {FOLDER} beside the config)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, measure, print the tables, and write them and the picture."""
    options = profile_parser().parse_args(list(arguments))
    batches, threads = numbers("--batch", options.batch), numbers("--threads", options.threads)
    if options.rounds < 1:
        raise UserError(f"`--rounds {options.rounds}` must be at least 1.")
    runtimes = [one.strip() for one in options.runtime.split(",")]
    ckpt = network_file("--ckpt", options.ckpt, NETWORK)
    against = None if options.against is None else network_file("--against", options.against, NETWORK)
    config = require_config(f"`--config {options.config}`", options.config) if options.config else config_of(ckpt)

    import lightning.pytorch  # noqa: F401 - late, as all that is slow; and before it is told to be quiet

    from lightning_prune.deployment.profiling.profile_network import profile
    from lightning_prune.deployment.profiling.runtimes.known import check_runtimes
    from lightning_prune.lab.report.profile_picture import draw_profile
    from lightning_prune.lab.report.report_file import require_folder
    from lightning_prune.lab.runs.first_batch import batch_of
    from lightning_prune.lab.runs.quiet import quiet

    check_runtimes(runtimes, f"`--runtime {options.runtime}`")
    out = require_folder(Path(options.out) if options.out else config.parent / FOLDER)
    with quiet():
        module, (whole, data) = load_network(ckpt, config), made_of(config)
        batch = batch_of(whole, data)
        other = whole if against is None else load_network(against, _config_of_other(against, config))
    names = ("this", "whole") if against is None else ("this", "against")
    with shown_progress() as told:
        found = profile(module, batch, other, batches, threads, runtimes, options.rounds, names=names, progress=told)
    written = [found.save(out / JSON), *draw_profile(found, out)]
    sys.stdout.write(f"{found}\n\nWritten: {', '.join(map(str, written))}\n")


def numbers(option: str, words: str) -> list[int]:
    """Read a list of whole numbers.

    Args:
        option: The option, for errors.
        words: What was given, such as ``"1,8"``.

    Raises:
        UserError: If it is no such list, or a number is below 1.

    Example:
        >>> numbers("--batch", "1, 8")
        [1, 8]
    """
    parts = [part.strip() for part in words.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"`{option} {words}` must be whole numbers, each at least 1, with commas between: {option} 1,8")
    return list(dict.fromkeys(map(int, parts)))


def load_network(file: Path, config: Path) -> "nn.Module":
    """Load a network without its dead units.

    Args:
        file: A checkpoint, or a file that ``lightning-prune shrink`` wrote.
        config: The config of its run.
    """
    from lightning_prune.shrinking.small_file import is_small_file, load_small

    if is_small_file(file):
        return load_small(file, made_of(config)[0])
    return shrunk_from(file, config).module


@contextmanager
def shown_progress() -> "Iterator[Told]":
    """Show on a terminal which measurement is going on. Nothing is shown elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    with Progress(
        BarColumn(), TextColumn("{task.description}"), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task: Any = bar.add_task("")

        def told(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield told


def _config_of_other(file: Path, config: Path) -> Path:
    """The config of the run of the other network. A file that lies in no run is of the same run."""
    beside = [folder / CONFIG for folder in file.resolve().parents[:2]]
    return next((one for one in beside if one.is_file()), config)
