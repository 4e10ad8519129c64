"""Files of a study that may be damaged, and folders that may not be writable: each said with what to do."""

import json
import os
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it, and run the study again.") from error


def see_writable(folder: Path, argument: str) -> None:
    """See that a folder is there or can be made, and may be written.

    Args:
        folder: The folder.
        argument: What it was given as, for the error.

    Raises:
        ValueError: If it is a file, lies in one, or may not be written; if its name is not UTF-8.
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
