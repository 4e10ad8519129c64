"""Notes of nodes that lie in files: what studies that share a store have kept for their arms, read as data.

A note names a callback and its arguments, and is made into that callback when a node is trained again. Whoever can
write into the folder could name anything there. So of a file only what this package itself defines is made.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from inspect import isclass
from pathlib import Path
from typing import Any

from torch import nn

from lightning_prune.ablation.config.keys import Config
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.starting_points.base import StartingPoint

MODULES = ("callbacks", "criteria", "allocation", "schedules", "rates", "selection")
WORD = re.compile(r"[\w.*?%+-]{1,200}")  # nothing that a parser reads as more than a word


def harmless_notes(given: Any) -> dict[str, Config]:
    """The notes of a file that can be made into callbacks without running code that the file chooses.

    What is left out is only not kept: a study that needs it trains the node again. That concerns starting points and
    criteria of the user's own, which the study that names them brings along itself.

    Args:
        given: Notes by description, as a file has them.

    Returns:
        Those whose classes and functions are of this package, or layers of ``torch.nn``, with plain arguments.

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
    """Whether a text is a length, a name or a pattern, and no file; if it names code, then code of this package."""
    if not WORD.fullmatch(text) or Path(text).exists():
        return False
    top = text.partition(".")[0]
    importable = "." in text and top.isidentifier() and find_spec(top) is not None
    return not importable or _named(text) is not None


def _named(path: str) -> Any:
    """What a path names, if it is defined in this package or a layer of torch; else None, and nothing is imported."""
    if not WORD.fullmatch(path) or not path.startswith(("lightning_prune.", "torch.nn.")):
        return None
    try:
        found = class_at(path)
    except (ImportError, AttributeError, ValueError):
        return None
    package, _, module = str(getattr(found, "__module__", "")).partition(".")
    own = package == "lightning_prune" and module.partition(".")[0] in MODULES
    return found if own or (isclass(found) and issubclass(found, nn.Module)) else None
