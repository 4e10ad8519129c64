"""Write files whole or not at all. A file is written beside its place and then renamed."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS_OF_A_DAY = 24 * 3600.0


def write_whole(path: Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write a file whole. A reader never sees half of it. If the writing fails, the previous file stays.

    Args:
        path: The file. Its folder is created if it does not exist.
        content: The content. Text is written as UTF-8. A function is called with a path, and writes the content there.

    Returns:
        ``path``.

    Raises:
        OSError: If the file cannot be written. The previous file is still there, and no temporary file is left.

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
    except BaseException:  # An interrupt, too.
        with suppress(OSError):
            aside.unlink()
        raise
    return path


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
