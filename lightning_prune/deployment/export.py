"""Write a network into a file for a runtime, and check what the file computes."""

import importlib
import shutil
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from lightning_prune.basics.checks import check_at_least, check_at_least_one, require
from lightning_prune.basics.extras import needs_extra
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import NothingThere, UserError
from lightning_prune.deployment.agreement import Agreement, agreement
from lightning_prune.deployment.formats.file_format import FileFormat, Wishes
from lightning_prune.deployment.formats.known_formats import FORMATS
from lightning_prune.deployment.ready_network import ReadyNetwork, make_ready

_MANY_ZEROS = 0.1  # of the weights: from there on, somebody wonders why the file is as large as before


@dataclass(frozen=True)
class Exported:
    """A file of a network, and how it was checked.

    Args:
        path: The file.
        format: Its format.
        size: Its bytes, with those of files beside it.
        whole_size: The bytes of the weights of the network before anything was removed.
        parameters: How many parameters the whole network has, and how many are left.
        error: The largest difference of the outputs from those of the network in torch, relative to the largest output.
        tolerance: The largest error that is right.
        batches: The batch sizes that were compared. None stands for the example as it is.
        notes: What else the user should know.
    """

    path: Path
    format: str
    size: int
    whole_size: int
    parameters: tuple[int, int]
    error: float
    tolerance: float
    batches: tuple[int | None, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        whole, left = self.parameters
        compared = " and ".join("the example" if one is None else f"batch {one}" for one in self.batches)
        said = "" if self.is_right else " The file is WRONG: do not use it."
        return "\n".join(
            [
                f"{self.path}: {_megabytes(self.size)}. The weights of the whole network take "
                f"{_megabytes(self.whole_size)} (x {self.size / max(self.whole_size, 1):.2f}).",
                f"Parameters: {whole:,} -> {left:,}" if left < whole else f"Parameters: {whole:,}, nothing was removed",
                f"Opened by {FORMATS[self.format].runtime}, {compared}: the outputs differ by {self.error:.1e} of the "
                f"largest (tolerance {self.tolerance:.0e}).{said}",
                *self.notes,
            ]
        )


def export(
    module: nn.Module,
    path: str | Path,
    format: str | None = None,
    example: Any = None,
    *,
    tolerance: float | None = None,
    shrink: bool = True,
    batch: int | None = None,
    largest_batch: int = 64,
    opset: int | None = None,
    half_values: bool = False,
) -> Exported:
    """Write a network into a file, open the file with its runtime, and compare what both compute.

    The network itself stays as it is. A copy of it is set to eval mode on the CPU. Dead channels, heads and neurons are
    removed from the copy, and computed weights become plain ones. ``"onnx"``, ``"torch"``, ``"openvino"`` and
    ``"executorch"`` hold float32 and take any batch. ``"safetensors"`` and ``"sparse"`` hold the weights without the
    code, in their own precision.

    Args:
        module: The network, such as a LightningModule with a ``forward``.
        path: The file. Its folder is there.
        format: ``"onnx"``, ``"torch"``, ``"openvino"``, ``"executorch"``, ``"safetensors"`` or ``"sparse"``. None: what
            the ending of the path says.
        example: The inputs of ``forward``, or a batch of data. Its rows are repeated for other batch sizes. None: the
            ``example_input_array`` of the module.
        tolerance: The largest error that is right, relative to the largest output. A larger one warns. None: 1e-4, or
            1e-2 with ``half_values``.
        shrink: Whether dead units are removed first. ``"sparse"`` keeps them.
        batch: The one batch size that the file takes. None: any, and the file is checked at 1 and 7.
        largest_batch: The largest batch of a file for ExecuTorch, which plans its memory ahead.
        opset: The version of the operators of ONNX. None: the choice of torch's exporter.
        half_values: Whether ``"openvino"`` and ``"sparse"`` write weights in float16.

    Returns:
        The file, its size and the error.

    Raises:
        ValueError: If the format is unknown, the folder is missing, or the network does not run on the example.
        ModuleNotFoundError: If the libraries of the format are missing. The message names the extra for pip.

    Example:
        >>> import torch
        >>> from tempfile import mkdtemp
        >>> network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        >>> done = export(network, f"{mkdtemp()}/small.safetensors", example=torch.rand(4, 8))
        >>> done.format, done.error
        ('safetensors', 0.0)
    """
    path, wishes = Path(path), Wishes(batch, largest_batch, opset, half_values)
    name = _format_of(path, format)
    asker, known = f"export(format='{name}')", FORMATS[name]
    tolerance = (1e-2 if half_values else 1e-4) if tolerance is None else tolerance
    check_at_least("export", 0, {"tolerance": tolerance})
    check_wishes(path, name, wishes)
    import_libraries(name)
    removes = shrink and not known.whole
    ready = make_ready(module, example, None if batch is None else [batch], asker, known.weights_only, removes)
    files = _write(known, ready, path, wishes, asker)
    found = agreement(lambda: known.open(path, ready), ready)
    done = Exported(
        path,
        name,
        sum(one.stat().st_size for one in files),
        ready.whole_bytes,
        ready.parameters,
        found.error,
        tolerance,
        found.batches,
        (*ready.notes, *_notes(known, ready, found)),
    )
    if not done.is_right:
        warnings.warn(f"{asker}: the file does not compute what the network computes.\n{done}", stacklevel=2)
    return done


def import_libraries(name: str) -> None:
    """Import the libraries of a format, or name the extra that installs them.

    Args:
        name: The format.

    Raises:
        ModuleNotFoundError: If a library is missing.
    """
    known = FORMATS[name]
    with needs_extra(f"export(format='{name}')", known.extra):
        for module in known.modules:
            importlib.import_module(module)


def check_format(name: str) -> FileFormat:
    """Find a format by its name.

    Args:
        name: The name.

    Raises:
        ValueError: If there is no such format.

    Example:
        >>> check_format("onxx")
        Traceback (most recent call last):
        lightning_prune.UserError: There is no format `onxx`. Did you mean `onnx`? There are onnx, ...
    """
    if name not in FORMATS:
        raise UserError(f"There is no format `{name}`.{suggest(name, FORMATS)} There are {', '.join(FORMATS)}.")
    return FORMATS[name]


def _format_of(path: Path, name: str | None) -> str:
    if name is not None:
        check_format(name)
        return name
    for known, one in FORMATS.items():
        if path.suffix == one.ending:
            return known
    endings = ", ".join(f"{one.ending} ({known})" for known, one in FORMATS.items())
    raise UserError(f"export(path='{path}'): its ending says no format. Give format=..., or one of {endings}.")


def check_wishes(path: Path, name: str, wishes: Wishes) -> None:
    """Refuse a place where the file cannot be, and wishes that the format cannot fulfill.

    Args:
        path: The file.
        name: Its format.
        wishes: What the user wants of it.

    Raises:
        ValueError: If the folder is missing, the ending is of another format, or the format knows no such wish.
    """
    known, asker = check_format(name), f"export(format='{name}')"
    if path.suffix != known.ending:
        raise UserError(f"{asker} writes files that end in {known.ending}, and '{path}' does not.")
    if path.is_dir():
        raise UserError(f"{asker}: '{path}' is a folder. Give a file in it: '{path / known.file_name}'.")
    if not path.absolute().parent.is_dir():
        raise NothingThere(f"{asker}: there is no folder '{path.parent}' for the file. Make it first.")
    for one in fields(wishes):
        value = getattr(wishes, one.name)
        if value == one.default:
            continue
        able = ", ".join(other for other, its in FORMATS.items() if one.name in its.takes)
        require(one.name in known.takes, "export", one.name, value, f"stay as it is for '{name}': it is for {able}")
        if one.name != "half_values":
            check_at_least_one("export", one.name, value)


def _write(known: FileFormat, ready: ReadyNetwork, path: Path, wishes: Wishes, asker: str) -> list[Path]:
    """Write all files of a format beside their places, and rename them then."""
    with TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as aside:
        try:
            known.write(ready, Path(aside, path.name), wishes)
        except (OSError, UserError):
            raise
        except Exception as error:  # a converter may not know an operation of the network
            said = "\n".join(line for line in str(error).strip().splitlines()[:6] if line.strip())
            raise UserError(
                f"{asker}: the converter cannot write {type(ready.network).__name__}: {type(error).__name__}: {said}"
            ) from error
        return [Path(shutil.move(one, path.with_name(one.name))) for one in sorted(Path(aside).iterdir())]


def _notes(known: FileFormat, ready: ReadyNetwork, found: Agreement) -> list[str]:
    notes = [] if found.failure is None else [f"The file does not run: {found.failure}"]
    if ready.zeros > _MANY_ZEROS and not known.whole:
        notes.append(
            f"{ready.zeros:.0%} of the weights are zeros that no channel, head or neuron takes along. They make this "
            "file neither smaller nor faster: format='sparse' writes a small file, and granularity=Structures() "
            "prunes what can be removed."
        )
    return notes


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"
