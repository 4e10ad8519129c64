"""Whether a checkpoint is whole, and stays so: a damaged one is refused before anything of it is used.

torch writes a checksum for every record of a file and compares none when it loads: a file with a changed byte becomes
a network with a changed weight, and a file that was cut off an error about something else.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from struct import error as StructError
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities import rank_zero_warn

_ZIP = b"PK\x03\x04"
_UNREADABLE = (zipfile.BadZipFile, zlib.error, StructError, OSError, EOFError, RuntimeError, ValueError, OverflowError)


def check_before_loading(strategy: Strategy) -> Callable[[], object]:
    """Let a strategy refuse damaged checkpoints before it loads them.

    No hook of a callback will do: when Lightning calls ``setup`` it has not yet said from which file it resumes, and
    the next hook comes after loading.

    Args:
        strategy: The Trainer's strategy.

    Returns:
        What undoes it.
    """
    load = strategy.load_checkpoint

    def checked(checkpoint_path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        refuse_damaged(checkpoint_path)
        return load(checkpoint_path, *args, **options)

    strategy.load_checkpoint = checked  # type: ignore[method-assign]
    return partial(vars(strategy).pop, "load_checkpoint", None)


def keep_saved(trainer: "pl.Trainer") -> None:
    """Save nothing on an exception before the first batch, until :func:`save_again`.

    ``OnExceptionCheckpoint`` writes to the same file every time. After a resumption that was refused it would replace
    the checkpoint of the run by one that has lost its masks, or has taken over the settings that were refused.

    Args:
        trainer: The trainer of a fit that is set up.
    """
    save_again(trainer)
    save = trainer.save_checkpoint

    def guarded(filepath: Any, *args: Any, **options: Any) -> None:
        if trainer.state.status is not TrainerStatus.INTERRUPTED:  # a tuner saves what it is going to put back
            save(filepath, *args, **options)
        else:
            rank_zero_warn(f"The fit failed before its first batch: nothing is new, so '{filepath}' is not written.")

    trainer.save_checkpoint = guarded  # type: ignore[method-assign]


def save_again(trainer: "pl.Trainer") -> None:
    """Undo :func:`keep_saved`.

    Args:
        trainer: The trainer.
    """
    vars(trainer).pop("save_checkpoint", None)


def refuse_damaged(path: object) -> None:
    """Refuse a checkpoint that is not what was saved.

    The file is read once. What is no local file is left alone, such as the folder of a sharded checkpoint or a URL,
    and so is what has no checksums: files in torch's format of before 2020, and files that are something else.

    Args:
        path: What a fit resumes from; None if it starts anew.

    Raises:
        ValueError: If it is damaged; says how, and names the newest whole checkpoint of the same folder.
    """
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return
    damage = find_damage(Path(path))
    if damage is None:
        return
    whole = newest_whole(Path(path))
    advice = (
        f"The newest whole checkpoint beside it is '{whole}': resume from that one with ckpt_path."
        if whole
        else "There is no whole checkpoint beside it to resume from: give another one, or start anew."
    )
    raise ValueError(f"IterativePruning cannot resume from '{path}': the file is damaged ({damage}). {advice}")


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
