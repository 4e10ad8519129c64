"""Files that are whole or not there: written beside their place, then renamed."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS_OF_A_DAY = 24 * 3600.0


def write_whole(path: Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write a file so that whoever reads it never sees half of it, and a failure leaves the one that was there before.

    Args:
        path: The file; its folder is made if it does not exist.
        content: What is to be in it, text as UTF-8; or a function that writes it to the path that it is given.

    Returns:
        ``path``.

    Raises:
        OSError: If it cannot be written; nothing is left beside it then.

    Example:
        >>> from tempfile import mkdtemp
        >>> write_whole(Path(mkdtemp()) / "table.csv", "arm,seed").read_text()
        'arm,seed'
        >>> write_whole(Path(mkdtemp()) / "table.csv", lambda aside: aside.write_text("arm,seed")).read_text()
        'arm,seed'
    """
    # Processes on several machines may write the same file at once: each needs a name of its own.
    aside = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if callable(content):
            content(aside)
        else:
            aside.write_bytes(content.encode() if isinstance(content, str) else content)
        aside.replace(path)
    except BaseException:  # an interrupt, too
        with suppress(OSError):
            aside.unlink()
        raise
    return path


def sweep(folder: Path) -> None:
    """Remove what processes have left that died while they wrote.

    Args:
        folder: Where they wrote; files of the living stay, and those of other machines that are not a day old.
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
    except (PermissionError, OverflowError):  # of somebody else
        return True
    return True
