"""Write files whole or not at all. A file is written beside its place and then renamed."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

SECONDS_OF_A_DAY = 24 * 3600.0


def write_aside(path: Path, text: str) -> None:
    """Write a file whole. A reader never sees half of it.

    Args:
        path: The file. Its folder must exist.
        text: The text of the file.
    """
    aside = aside_of(path)
    aside.write_text(text)
    aside.replace(path)


def aside_of(path: Path) -> Path:
    """The path at which a file is written before the renaming. Its name holds the machine and the process."""
    return path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}.new")


def sweep(folder: Path) -> None:
    """Remove half-written files of processes that have died.

    Args:
        folder: The folder. Files of living processes stay, and so do files of other machines that are not a day old.
    """
    for path in folder.glob("*.new"):
        writer = path.name.removesuffix(".new").rpartition(".")[2]
        machine, _, number = writer.rpartition("-")
        dead = machine == platform.node() and number.isdecimal() and not _is_alive(int(number))
        if dead or time.time() - path.stat().st_mtime > SECONDS_OF_A_DAY:
            path.unlink(missing_ok=True)


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # The process belongs to another user.
        return True
    return True


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it, and run the study again.") from error


def see_writable(folder: Path, argument: str) -> None:
    """Check that a folder exists or can be made, and that it may be written.

    Args:
        folder: The folder.
        argument: The argument that names the folder, for the error.

    Raises:
        ValueError: If the folder is a file, lies in a file, or may not be written. If its name is not UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"`{argument} {str(folder).encode(errors='backslashreplace').decode()}`: the name is not UTF-8, and tables "
            "cannot be written there. Give another one."
        ) from error
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        what = "is a file" if there == folder.absolute() else f"lies in {there}, which is a file"
        raise ValueError(f"`{argument} {folder}` {what}. Give a folder, or the name of a new one.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(
            f"`{argument} {folder}`: {there} may not be written. Give a folder that you may write, or get the right."
        )
