"""The files of a report, written so that a full disk leaves the report that was there before."""

from pathlib import Path

from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole


def write_report_file(path: Path, content: str | bytes) -> Path:
    """Write a file of a report, and say what to do where that fails.

    Args:
        path: The file; its folder is made if it does not exist.
        content: What is to be in it; text as UTF-8, with a question mark for what is no character.

    Returns:
        ``path``.

    Raises:
        ValueError: If it cannot be written; what was there before is still there, and nothing is left beside it.

    Example:
        >>> from tempfile import mkdtemp
        >>> write_report_file(Path(mkdtemp()) / "table.csv", "arm,seed").read_text()
        'arm,seed'
    """
    try:
        return write_whole(path, content.encode(errors="replace") if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(
            f"`report`: {path} cannot be written ({error.strerror or error}). What was there before is as it was. Make "
            "room, or give another folder with --out."
        ) from error
