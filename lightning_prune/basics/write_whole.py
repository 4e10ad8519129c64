"""Files of a report that are whole or not there: written beside their place, then renamed."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file of a report, so that a full disk leaves the one that was there before.

    Args:
        path: The file; its folder is made if it does not exist.
        content: What is to be in it; text as UTF-8, with a question mark for what is no character.

    Returns:
        ``path``.

    Raises:
        ValueError: If it cannot be written; what was there before is still there, and nothing is left beside it.

    Example:
        >>> from tempfile import mkdtemp
        >>> write_whole(Path(mkdtemp()) / "table.csv", "arm,seed").read_text()
        'arm,seed'
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors="replace"))
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ValueError(
            f"`report`: {path} cannot be written ({error.strerror or error}). What was there before is as it was. Make "
            "room, or give another folder with --out."
        ) from error
    return path
