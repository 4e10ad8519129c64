"""Read the JSON files of a study, and check that a folder may be written."""

import json
import os
from pathlib import Path
from typing import Any

from lightning_prune.basics.user_error import UserError


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}). Delete it, and run the study again.") from error


def see_writable(folder: Path, argument: str) -> None:
    """Check that a folder exists or can be made, and that it may be written.

    Args:
        folder: The folder.
        argument: The argument of ``Ablation.run`` that names the folder, for the error.

    Raises:
        ValueError: If the folder is a file, lies in a file, or may not be written. If its name is not UTF-8.
    """
    given = f"`{argument}={folder}` (--{argument})"
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        name = str(folder).encode(errors="backslashreplace").decode()
        raise UserError(
            f"`{argument}={name}` (--{argument}): the name is not UTF-8, and tables cannot be written there. Give "
            "another one."
        ) from error
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        what = "is a file" if there == folder.absolute() else f"lies in {there}, which is a file"
        raise UserError(f"{given} {what}. Give a folder, or the name of a new one.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{given}: {there} may not be written. Give a folder that you may write, or get the right.")
