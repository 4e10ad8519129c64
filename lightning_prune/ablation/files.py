"""Files that are whole or not there: written beside their place, then renamed."""

import json
import os
from pathlib import Path
from typing import Any


def write_aside(path: Path, text: str) -> None:
    """Write a file whole: whoever reads it never sees half of it.

    Args:
        path: The file; its folder exists.
        text: What is to be in it.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    aside.write_text(text)
    aside.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it, and run the study again.") from error
