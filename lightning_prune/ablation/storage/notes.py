"""Read the notes of nodes from files of a shared store, as data and not as code.

A note names a callback and its arguments. When a node is trained again, the callback is made from the note. Anybody
who can write into the folder could name any class there. Therefore only classes of this package are made from a file.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from inspect import isclass
from pathlib import Path
from typing import Any

from torch import nn

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.starting_points.base import StartingPoint

MODULES = ("callbacks", "criteria", "allocation", "schedules", "rates", "selection")
WORD = re.compile(r"[\w.*?%+-]{1,200}")  # A parser reads such a text as a word and nothing more.


def harmless_notes(given: Any) -> dict[str, Config]:
    """Choose the notes of a file whose callbacks can be made without running code that the file chooses.

    A note that is left out is only not kept. A study that needs it trains the node again. This concerns the user's own
    starting points and criteria. The study that names them has them in its own config.

    Args:
        given: Notes by description, as a file has them.

    Returns:
        The notes whose classes and functions belong to this package, or are layers of ``torch.nn``, with plain
        arguments.

    Example:
        >>> rewind = {"class_path": "lightning_prune.WeightRewind", "init_args": {"to": "1ep"}}
        >>> planted = {"class_path": "os.system", "init_args": {"command": "ls"}}
        >>> list(harmless_notes({"mine": rewind, "theirs": planted}))
        ['mine']
    """
    notes = given if isinstance(given, Mapping) else {}
    return {str(key): dict(entry) for key, entry in notes.items() if _is_note(entry)}


def _is_note(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not _is_plain(entry):
        return False
    found = _named(str(entry.get("class_path", "")))
    return isclass(found) and issubclass(found, StartingPoint | IterativePruning)


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        if "class_path" in value:
            path = value["class_path"]
            known = value.keys() <= {"class_path", "init_args"} and isinstance(path, str) and isclass(_named(path))
            return known and _is_plain(value.get("init_args"))
        return all(isinstance(key, str) and WORD.fullmatch(key) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return _is_word(value) if isinstance(value, str) else value is None or isinstance(value, bool | int | float)


def _is_word(text: str) -> bool:
    """Whether a text is a length, a name or a pattern, and no file. Code that it names must be of this package."""
    if not WORD.fullmatch(text) or Path(text).exists():
        return False
    top = text.partition(".")[0]
    importable = "." in text and top.isidentifier() and find_spec(top) is not None
    return not importable or _named(text) is not None


def _named(path: str) -> Any:
    """Find the object of a path, if this package defines it or it is a layer of torch.

    For other paths the result is None. A path outside both packages is not imported.
    """
    if not WORD.fullmatch(path) or not path.startswith(("lightning_prune.", "torch.nn.")):
        return None
    try:
        found = class_at(path)
    except (ImportError, AttributeError, ValueError):
        return None
    package, _, module = str(getattr(found, "__module__", "")).partition(".")
    own = package == "lightning_prune" and module.partition(".")[0] in MODULES
    return found if own or (isclass(found) and issubclass(found, nn.Module)) else None
