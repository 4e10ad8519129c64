"""Write the network of a checkpoint for a runtime: ``lightning-prune export --ckpt last.ckpt --format onnx``."""

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from lightning_prune.basics.config_files import require_config
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.profile_command import NETWORK
from lightning_prune.lab.runs.quiet import quiet
from lightning_prune.lab.shrink_command import config_of, made_of, network_file

if TYPE_CHECKING:
    from torch import nn

    from lightning_prune.deployment.formats.file_format import Wishes

HELP = "Write the network of a checkpoint into a file for a runtime, and check what it computes."
FORMATS = "onnx, torch, openvino, executorch, safetensors, sparse"  # of `known_formats`, which needs torch


def export_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune export``."""
    parser = ArgumentParser(prog="lightning-prune export", description=HELP)
    add = parser.add_argument
    add("--ckpt", required=True, metavar="CKPT", help=NETWORK)
    add("--format", required=True, metavar="FORMAT", help=f"{FORMATS}; or several of them with commas")
    add("--out", type=str | None, metavar="FILE", help="the file (default: model.* beside the checkpoint)")
    add("--config", type=str | None, metavar="CONFIG", help="the config of the run (default: that in its folder)")
    add("--inputs", type=str | None, metavar="INPUTS", help="those of the batch that forward gets: names or numbers")
    add("--tolerance", type=float, metavar="ERROR", help="relative to the largest output (default: 1e-4)")
    add("--batch", type=int, metavar="N", help="the one batch size that the file takes (default: any)")
    add("--largest_batch", type=int, default=64, metavar="N", help="for executorch")
    add("--opset", type=int, metavar="N", help="the version of the operators, for onnx")
    add("--half_values", action="store_true", help="weights in float16, for openvino and sparse")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, and write and check each file. A file that is wrong ends with exit code 1."""
    options = export_parser().parse_args(list(arguments))
    names = [name.strip() for name in options.format.split(",")]
    if options.out and len(names) > 1:
        raise UserError(f"`--out {options.out}` is one file, and `--format {options.format}` writes {len(names)}.")
    checkpoint = network_file("--ckpt", options.ckpt, NETWORK)
    files = _checked(names, checkpoint, options)
    config = require_config(f"`--config {options.config}`", options.config) if options.config else config_of(checkpoint)
    module, batch = trained(checkpoint, config)
    example = batch if options.inputs is None else chosen_inputs(batch, options.inputs.split(","))
    right = [_exported(module, example, name, file, options.tolerance) for name, file in files.items()]
    if not all(right):
        sys.exit(1)


def trained(checkpoint: Path, config: Path) -> "tuple[nn.Module, Any]":
    """Make the module of a run with the weights of a checkpoint, and a batch of the run's data.

    Args:
        checkpoint: A checkpoint, or the file of a small network.
        config: The config of the run.

    Raises:
        UserError: If the checkpoint is of another module.
    """
    from lightning_prune.lab.runs.first_batch import batch_of
    from lightning_prune.shrinking.removal import load_whole
    from lightning_prune.shrinking.small_file import is_small_file, load_small

    with quiet():
        module, data = made_of(config)
        example = batch_of(module, data)
    if is_small_file(checkpoint):
        return load_small(checkpoint, module), example
    load_whole(module, checkpoint, f"`--ckpt {checkpoint}`")
    return module, example


def chosen_inputs(batch: Any, words: Sequence[str]) -> Any:
    """Take from a batch what the network gets where it is deployed, such as no labels.

    Args:
        batch: A mapping, a tuple or a list.
        words: Names of a mapping, or numbers from 0.

    Raises:
        UserError: If the batch has no such part.

    Example:
        >>> chosen_inputs({"images": 1, "labels": 2}, ["images"]), chosen_inputs([1, 2], ["0"])
        ({'images': 1}, (1,))
    """
    parts = {str(key): one for key, one in (batch.items() if isinstance(batch, Mapping) else _numbered(batch))}
    missing = [word for word in words if word not in parts]
    if missing:
        known = f"has {', '.join(parts)}" if parts else f"is a {type(batch).__name__} without parts"
        raise UserError(f"`--inputs {','.join(words)}`: the batch of the data {known}, and no {missing[0]}.")
    return {word: parts[word] for word in words} if isinstance(batch, Mapping) else tuple(parts[word] for word in words)


def _numbered(batch: Any) -> Iterable[tuple[Any, Any]]:
    return enumerate(batch) if isinstance(batch, list | tuple) else ()


def _checked(names: Sequence[str], checkpoint: Path, options: Any) -> "dict[str, tuple[Path, Wishes]]":
    """The place of each file and what is wanted of it. What cannot be written is refused before anything is made."""
    from lightning_prune.deployment.export import check_format, check_wishes, import_libraries  # late: it needs torch
    from lightning_prune.deployment.formats.file_format import Wishes

    given = {one.name: getattr(options, one.name) for one in fields(Wishes)}
    files = {}
    for name in names:
        known = check_format(name)
        # Of several formats, each takes what it can.
        taken = given if len(names) == 1 else {wish: one for wish, one in given.items() if wish in known.takes}
        path = Path(options.out) if options.out else checkpoint.with_name(known.file_name)
        files[name] = path, Wishes(**taken)
        check_wishes(path, name, files[name][1])
    for name in names:
        try:
            import_libraries(name)
        except ModuleNotFoundError as error:
            raise UserError(str(error)) from error
    return files


def _exported(
    module: "nn.Module", example: Any, name: str, file: "tuple[Path, Wishes]", tolerance: float | None
) -> bool:
    """Write a file, print what came of it, and return whether it is right."""
    from lightning_prune.deployment.export import export

    path, wishes = file
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="export\\(")  # what is wrong is printed
        done = export(module, path, name, example, tolerance=tolerance, **asdict(wishes))
    sys.stdout.write(f"{done}\n")
    return done.is_right
