"""Write the files of a report. A full disk leaves the earlier report as it was."""

from pathlib import Path

from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole


def require_folder(folder: Path) -> Path:
    """Make the folder of a report now, so that an error about it comes before any work.

    Args:
        folder: The folder.

    Returns:
        ``folder``.

    Raises:
        ValueError: If there cannot be such a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"`out={folder}` (--out) cannot be a folder: {error}. Give a folder, or the name of a new one."
        ) from error
    return folder


def write_report_file(path: Path, content: str | bytes) -> Path:
    """Write a file of a report, or say what to do if that fails.

    Args:
        path: The file. Its folder is made if it does not exist.
        content: The content. Text is written as UTF-8, with a question mark for lone surrogates.

    Returns:
        ``path``.

    Raises:
        ValueError: If the file cannot be written. An earlier file is kept, and no temporary file is left.

    Example:
        >>> from tempfile import mkdtemp
        >>> write_report_file(Path(mkdtemp()) / "table.csv", "arm,seed").read_text()
        'arm,seed'
    """
    try:
        return write_whole(path, content.encode(errors="replace") if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(
            f"`report`: {path} cannot be written ({error.strerror or error}). An earlier file is kept. Free some "
            "space, or give another folder with out=... (--out)."
        ) from error
