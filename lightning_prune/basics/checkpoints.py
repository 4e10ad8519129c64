"""Whether a file is whole and of a known format, found out before anything of it is used.

torch writes a checksum for every record of a file and compares none when it loads: a file with a changed byte becomes
a network with a changed weight, and a file that was cut off an error about something else.
"""

import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import error as StructError
from typing import Any

import torch

from lightning_prune.version import __version__

_ZIP = b"PK\x03\x04"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, StructError, OSError, EOFError, RuntimeError, ValueError, OverflowError)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # what torch would have to call to load a file


def read_checkpoint(path: str | Path, asker: str) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values, on the CPU, with nothing left that hangs on the file.

    Args:
        path: The file.
        asker: Who reads it, such as ``"save_ticket(checkpoint=...)"``, for errors.

    Returns:
        What was saved.

    Raises:
        ValueError: If there is no such file, it is damaged, or it is no checkpoint; says what to do.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder: give the file in it" if path.is_dir() else "there is no such file"
        raise ValueError(f"{asker} cannot read '{path}': {what}.")
    refuse_damaged_file(path, f"{asker} cannot read", "give that one")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint fail in any way
        raise ValueError(f"{asker} cannot read '{path}': {why_unreadable(error)}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{asker} cannot read '{path}': it holds a {type(found).__name__}, and no checkpoint.")
    return found


def why_unreadable(error: BaseException) -> str:
    """Say why torch could not load a file, in words that do not advise to run what is in it.

    Args:
        error: What torch raised.

    Returns:
        A sentence.

    Example:
        >>> why_unreadable(EOFError("Ran out of input"))
        'it is no file that torch.save wrote. Give a checkpoint that a Trainer saved.'
    """
    named = _GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if named is None:
        return "it is no file that torch.save wrote. Give a checkpoint that a Trainer saved."
    return (
        f"it holds {named[1]}, which is neither a tensor nor a plain value, and loading it would run its code. "
        "Give a checkpoint without it; where hyperparameters hold it, leave it out of save_hyperparameters()."
    )


def refuse_format(found: object, known: int, what: str) -> None:
    """Refuse a file of another format than this version reads.

    Args:
        found: The format that the file names.
        known: The format that this version reads.
        what: The file, for the error.

    Raises:
        ValueError: If they differ.

    Example:
        >>> refuse_format(1, 1, "ticket.safetensors")
    """
    if type(found) is int and found == known:
        return
    newer = type(found) is int and found > known
    advice = (
        "A newer version wrote it: install that one (pip install -U lightning-prune)."
        if newer
        else "It is damaged, or was not written by lightning_prune."
    )
    raise ValueError(f"{what} has format {found!r}, and lightning_prune {__version__} reads {known}. {advice}")


def refuse_damaged_file(path: Path, said: str, advice: str) -> None:
    """Refuse a file that is not what was saved; it is read once.

    Args:
        path: A local file.
        said: The start of the error, before the path.
        advice: What to do with the newest whole checkpoint of the same folder, which is named.

    Raises:
        ValueError: If it is damaged; says how.
    """
    damage = find_damage(path)
    if damage is None:
        return
    whole = newest_whole(path)
    end = (
        f"The newest whole checkpoint beside it is '{whole}': {advice}."
        if whole
        else "There is no whole checkpoint beside it to resume from: give another one, or start anew."
    )
    raise ValueError(f"{said} '{path}': the file is damaged ({damage}). {end}")


def find_damage(path: Path) -> str | None:
    """Say what is wrong with a file.

    Args:
        path: A local file.

    Returns:
        What is wrong with it; None if it is whole, or has nothing that tells.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if not any(head):
        return f"it begins with {len(head)} zeros" if size else "it is empty"
    try:
        if not zipfile.is_zipfile(path):
            return f"it ends after {size} bytes, without its table of contents" if _ZIP.startswith(head) else None
        torch._C.PyTorchFileReader(str(path))  # what only torch minds in the table
        with zipfile.ZipFile(path) as archive:
            return next((f"'{name}' in it has changed" for name in _changed(archive)), None)
    except _UNREADABLE as error:
        return f"its table of contents has changed: {str(error).split('. ')[0]}"


def newest_whole(path: Path) -> Path | None:
    """Find what to resume from instead of a damaged checkpoint.

    Args:
        path: The damaged file.

    Returns:
        The newest whole checkpoint in its folder that a fit can be resumed from; None if there is none.
    """
    others = [other for other in path.parent.glob(f"*{path.suffix}") if other.is_file()]
    others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
    return next((other for other in others if find_damage(other) is None and _can_be_resumed(other)), None)


def _changed(archive: zipfile.ZipFile) -> Iterator[str]:
    """The names of the records that are not what was written."""
    for record in archive.infolist():
        try:
            with archive.open(record) as stream:
                while record.CRC and stream.read(1 << 20):  # 0: torch was told to write no checksums
                    pass
        except _UNREADABLE:
            yield record.filename


def _can_be_resumed(path: Path) -> bool:
    """Whether a whole file holds more than weights, by the names in it: nothing is unpickled."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(
            name.endswith("data.pkl") and b"optimizer_states" in archive.read(name) for name in archive.namelist()
        )
