"""Write files of a report completely or not at all: to another name first, then renamed."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file of a report. If the disk is full, the previous file stays.

    Args:
        path: The file. Its folder is created if it does not exist.
        content: The content. Text is written as UTF-8, with a question mark for each invalid character.

    Returns:
        ``path``.

    Raises:
        ValueError: If the file cannot be written. The previous file is still there, and no temporary file is left.

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
            f"`report`: {path} cannot be written ({error.strerror or error}). A previous file has not changed. Make "
            "room, or give another folder with --out."
        ) from error
    return path
