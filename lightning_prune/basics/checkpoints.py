"""Read checkpoint files, and refuse damaged files before their content is used.

torch writes a checksum for every record of a file, but does not compare the checksums when it loads the file. So a file
with a changed byte would become a network with a changed weight. A file that was cut off would raise an error about
something else.
"""

import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from struct import error as StructError
from typing import Any

import torch

from lightning_prune.basics.user_error import UserError

SHRUNK = "shrunk"  # what was removed from the network: in a callback's state, or beside weights that are alone
_ZIP = b"PK\x03\x04"
_FOLDER = 0x10  # the bit of a record's attributes by which torch takes it for a folder
_UNREADABLE = (zipfile.BadZipFile, zlib.error, StructError, OSError, EOFError, RuntimeError, ValueError, OverflowError)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # names that torch would have to call to load a file


def read_checkpoint(path: str | Path, asker: str) -> dict[str, Any]:
    """Read a checkpoint into memory, on the CPU. Only tensors and plain values are allowed.

    Args:
        path: The file.
        asker: The call that reads the file, such as ``"save_ticket(checkpoint=...)"``, for errors.

    Returns:
        The content of the checkpoint.

    Raises:
        ValueError: If there is no such file, or the file is damaged or is not a checkpoint. The message says what to
            do.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder: give the file in it" if path.is_dir() else "there is no such file"
        raise UserError(f"{asker} cannot read '{path}': {what}.")
    refuse_damaged_file(path, f"{asker} cannot read", "give that one")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is not a checkpoint can raise any error
        raise UserError(f"{asker} cannot read '{path}': {why_unreadable(error)}") from error
    if not isinstance(found, dict):
        raise UserError(f"{asker} cannot read '{path}': it holds a {type(found).__name__}, and no checkpoint.")
    refuse_other_parts(found, f"{asker} cannot read '{path}'")
    return found


def refuse_other_parts(checkpoint: Mapping[str, Any], said: str) -> None:
    """Refuse a checkpoint whose weights or callbacks are no mapping. Others would use them without a check.

    Args:
        checkpoint: The content of a file.
        said: The start of the error.

    Raises:
        ValueError: If one of them is something else.
    """
    for part in ("state_dict", "callbacks"):
        if not isinstance(checkpoint.get(part, {}), Mapping):
            kind = type(checkpoint[part]).__name__
            raise UserError(f"{said}: '{part}' in it is a {kind}. Give a checkpoint that a Trainer saved.")


def whole_shapes(checkpoint: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Find the shapes of the tensors of a network, also where units were removed from it before it was saved.

    Args:
        checkpoint: The content of a checkpoint of a Trainer.

    Returns:
        The shapes of the whole network, by name.

    Example:
        >>> small = {"weight": torch.ones(2)}
        >>> shrunk = {"shrunk": {"shapes": {"weight": [3]}}}
        >>> whole_shapes({"state_dict": small, "callbacks": {"Shrink": shrunk}}), whole_shapes({"state_dict": small})
        ({'weight': torch.Size([3])}, {'weight': torch.Size([2])})
    """
    shapes = {name: tensor.shape for name, tensor in checkpoint["state_dict"].items()}
    shrunk = shrunk_in(checkpoint) or {"shapes": {}}
    return shapes | {name: torch.Size(shape) for name, shape in shrunk["shapes"].items()}


def shrunk_in(checkpoint: Mapping[str, Any]) -> Any:
    """Find what was removed from a network before it was saved.

    Args:
        checkpoint: The content of a checkpoint of a Trainer.

    Returns:
        What is written there, unchecked. None if the network is whole.

    Example:
        >>> shrunk_in({"callbacks": {"Shrink": {"shrunk": 1}}}), shrunk_in({"shrunk": 1}), shrunk_in({})
        (1, 1, None)
    """
    states = (checkpoint, *checkpoint.get("callbacks", {}).values())
    return next((state[SHRUNK] for state in states if isinstance(state, Mapping) and SHRUNK in state), None)


def why_unreadable(error: BaseException) -> str:
    """Say why torch could not load a file, without torch's own advice to run the code in the file.

    Args:
        error: The error that torch raised.

    Returns:
        The reason, and what to do.

    Example:
        >>> why_unreadable(EOFError("Ran out of input"))
        'it is no file that torch.save wrote. Give a checkpoint that a Trainer saved.'
    """
    named = _GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if named is None:
        return "it is no file that torch.save wrote. Give a checkpoint that a Trainer saved."
    return (
        f"it holds {named[1]}, which is neither a tensor nor a plain value, and loading it would run its code. "
        "Give a checkpoint without it. If hyperparameters hold it, leave it out of save_hyperparameters()."
    )


def refuse_damaged_file(path: Path, said: str, advice: str) -> None:
    """Refuse a damaged file. The whole file is read once.

    Args:
        path: A local file.
        said: The start of the error, before the path.
        advice: The advice for the newest undamaged checkpoint of the same folder, which the error names.

    Raises:
        ValueError: If the file is damaged. The message says how.
    """
    damage = find_damage(path)
    if damage is None:
        return
    whole = newest_whole(path)
    end = (
        f"The newest whole checkpoint beside it is '{whole}': {advice}."
        if whole
        else "There is no whole checkpoint beside it to resume from: give another one, or start again."
    )
    raise UserError(f"{said} '{path}': the file is damaged ({damage}). {end}")


def find_damage(path: Path) -> str | None:
    """Find the damage of a file.

    Args:
        path: A local file.

    Returns:
        A description of the damage. None if the file is undamaged, or has no checksums to compare.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if not any(head):
        return f"it begins with {len(head)} zeros" if size else "it is empty"
    try:
        if not zipfile.is_zipfile(path):
            return f"it ends after {size} bytes, without its table of contents" if _ZIP.startswith(head) else None
        torch._C.PyTorchFileReader(str(path))  # torch checks more of the table than zipfile does
        with zipfile.ZipFile(path) as archive:
            return next((f"'{name}' in it has changed" for name in _changed(archive)), None)
    except _UNREADABLE as error:
        return f"its table of contents has changed: {str(error).split('. ')[0]}"


def newest_whole(path: Path) -> Path | None:
    """Find a checkpoint to resume from in place of a damaged one.

    Args:
        path: The damaged file.

    Returns:
        The newest undamaged checkpoint in the same folder from which a fit can resume. None if there is none.
    """
    others = [other for other in path.parent.glob(f"*{path.suffix}") if other.is_file()]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    return next((other for other in others if find_damage(other) is None and _can_be_resumed(other)), None)


def _changed(archive: zipfile.ZipFile) -> Iterator[str]:
    """The names of the records that have changed since they were written."""
    for record in archive.infolist():
        if record.external_attr & _FOLDER and record.file_size:
            yield record.filename  # torch would read nothing, and take what lies in memory for the weights
            continue
        try:
            with archive.open(record) as stream:
                while record.CRC and stream.read(1 << 20):  # 0: torch was told to write no checksums
                    pass
        except _UNREADABLE:
            yield record.filename


def _can_be_resumed(path: Path) -> bool:
    """Whether an undamaged file holds the state of a fit, not only weights. Nothing is unpickled for this check."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(
            name.endswith("data.pkl") and b"optimizer_states" in archive.read(name) for name in archive.namelist()
        )
