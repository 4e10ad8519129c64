"""Fingerprint code and data as short texts that enter the names of nodes. A change of either changes the names."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_prune import __version__
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.data.content_hash import content_of

LIBRARIES = {"lightning_prune": __version__, "lightning": lightning.__version__, "torch": torch.__version__}
STANDARD = Path(sysconfig.get_paths()["stdlib"])


def code_fingerprint(config: Any) -> dict[str, str]:
    """Fingerprint the libraries by their versions, and the user's own classes in a config by their source files.

    Args:
        config: A config of ``lightning-prune fit``, or a part of one, whose classes were imported already.

    Returns:
        Versions by library, and hashes by module of the user. The modules that a user's module imports are included,
        if the user wrote them.

    Example:
        >>> sorted(code_fingerprint({"model": {"class_path": "lightning_prune.lab.Classifier"}}))
        ['lightning', 'lightning_prune', 'torch']
    """
    found: dict[str, str] = dict(LIBRARIES)
    waiting = [module for path in dict.fromkeys(_dotted_paths(config)) for module in _modules_of(path)]
    while waiting:
        module = waiting.pop()
        top = module.__name__.split(".")[0]
        if module.__name__ in found or top in LIBRARIES:
            continue
        if (file := _own_file(module)) is not None:
            found[module.__name__] = _hash_of_file(file)
            waiting += _imported(module)
        elif version := getattr(sys.modules.get(top), "__version__", None):
            found[top] = str(version)
    return found


def refuse_other_code(planned: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse to train a node with other code than the code in its name.

    Args:
        planned: The fingerprint of the code with which the study was planned.
        found: The fingerprint of the code that this process runs.

    Raises:
        ValueError: If a file was edited, or a library updated, since the study was started.
    """
    if others := [name for name in planned if name in found and found[name] != planned[name]]:
        raise UserError(
            f"{', '.join(others)} has changed since the study was started. Run it again: what depends on it is trained "
            "again, the rest stays."
        )


def data_content(data: Any, config: Any) -> tuple[Any, Any]:
    """Collect the settings of a data module, and a fingerprint of its data. Both enter the names of nodes.

    Args:
        data: The data module. Its ``fingerprint()`` is called if it has one. Then the arguments that its ``places``
            name do not count, because they only say where the data lie.
        config: The config of the data module. Without a ``fingerprint()``, the files and folders in the config are
            looked at.

    Returns:
        The config without places, and the fingerprint as plain values.
    """
    own = getattr(data, "fingerprint", None)
    if not callable(own):
        return config, {str(path): tree_fingerprint(path) for path in _existing_paths(config)}
    arguments = config.get("init_args") or {}
    places = getattr(data, "places", ())
    return {**config, "init_args": {key: arguments[key] for key in arguments if key not in places}}, own()


def prepare(data: LightningDataModule, config: Any, owner: str) -> None:
    """Download missing data before the nodes are named and trained.

    Several nodes at once must not download the same data, and their names depend on the data.

    Args:
        data: The data module.
        config: The config of the data module. A config is prepared once in a process.
        owner: The arm's name for errors.

    Raises:
        ValueError: If the preparation fails.
    """
    key = repr(config)
    if key in _prepared or not is_overridden("prepare_data", data):
        return
    try:
        data.prepare_data()
    except Exception as error:
        raise UserError(f"{owner}: {type(data).__name__}.prepare_data() failed: {error}") from error
    _prepared.add(key)


_prepared: set[str] = set()


def tree_fingerprint(path: Path) -> str:
    """Hash a file, or all files below a folder. More than 64 MiB in all are hashed by their sizes and times.

    Args:
        path: A file or folder that exists.
    """
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return content_of(files, path.parent)


def file_fingerprints(config: Any) -> dict[str, str]:
    """Hash the files that a config names, such as weights to start from.

    Folders are left out, because something may be written into them.

    Args:
        config: A part of a config.
    """
    return {str(path): tree_fingerprint(path) for path in _existing_paths(config) if path.is_file()}


def _dotted_paths(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        for value in config.values():
            yield from _dotted_paths(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _dotted_paths(value)
    elif isinstance(config, str) and "." in config and config.replace(".", "").replace("_", "").isalnum():
        yield config


def _modules_of(path: str) -> Iterator[ModuleType]:
    """Yield the module of a dotted path, and the module in which the object is defined."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if module is not None:
            yield module
            home = getattr(getattr(module, parts[length], None), "__module__", None)
            if isinstance(home, str) and home in sys.modules:
                yield sys.modules[home]
            return


def _imported(module: ModuleType) -> Iterator[ModuleType]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules:
            yield sys.modules[name]


def _own_file(module: ModuleType) -> Path | None:
    """The file of a module, if the user wrote the module."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file)
    installed = {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(STANDARD)
    return None if installed else path


@cache
def _hash_of_file(path: Path) -> str:
    """Hash a file once. This process runs the code that it has imported, even if the file is edited meanwhile."""
    return _hash(path.read_bytes())


def _existing_paths(config: Any) -> Iterator[Path]:
    values = config.values() if isinstance(config, Mapping) else config if isinstance(config, list | tuple) else ()
    for value in values:
        if isinstance(value, str) and len(value) < 1000 and value.strip() and Path(value).exists():
            yield Path(value)
        else:
            yield from _existing_paths(value)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
