"""Write the names of this package's own classes and functions in full, wherever a config names what to make or call.

Classes and functions of everybody else are given by their dotted paths.
"""

import importlib
from collections.abc import Mapping
from functools import cache, partial
from inspect import Parameter, isclass, isfunction, signature
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.renamed import CLASSES
from lightning_prune.callbacks.iterative_pruning import IterativePruning

CALLBACKS = (
    "lightning_prune.criteria",
    "lightning_prune.allocation",
    "lightning_prune.lab.networks.initialization",
    "lightning_prune.callbacks.starting_points.initializations",
    "lightning_prune",
)
NETWORKS = ("lightning_prune.lab",)
PLACES = {"pruning": CALLBACKS, "policy": CALLBACKS, "start": CALLBACKS, "model": NETWORKS, "data": NETWORKS}
ENTRIES = ("trainer", "callbacks")


def with_full_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the names of this package in full.

    Args:
        config: A config of ``lightning-prune fit``, or a part of one. A key may be a path, such as
            ``"pruning.criterion"``.

    Returns:
        The config with dotted paths. Names that are not of this package stay as they are.

    Example:
        >>> with_full_names({"policy": "LRRewind", "pruning.criterion": "random", "pruning.optimizer_state": "mask"})
        ... # doctest: +NORMALIZE_WHITESPACE
        {'policy': 'lightning_prune.LRRewind', 'pruning.criterion': 'lightning_prune.criteria.random',
        'pruning.optimizer_state': 'mask'}
    """
    return {key: _at(key.split("."), value) for key, value in config.items()}


def full_name(name: str, modules: tuple[str, ...] = CALLBACKS) -> str:
    """Write a name of this package in full.

    Args:
        name: The name of a public class or function. Any other text stays as it is.
        modules: The modules in which to look.

    Example:
        >>> full_name("Geometric"), full_name("layerwise"), full_name("mine.Net")
        ('lightning_prune.Geometric', 'lightning_prune.allocation.layerwise', 'mine.Net')
    """
    former = f"lightning_prune.{name}" if name in CLASSES else name  # It warns when it is imported.
    return _known(modules).get(name, former)


def _at(place: list[str], value: Any) -> Any:
    """Write the names in a value in full, given the path of the value."""
    first, *rest = [place[0], *(part for part in place[1:] if part != "init_args")]
    if first == ENTRIES[0]:
        if not rest and isinstance(value, Mapping):
            return {key: _at([*place, key], one) for key, one in value.items()}
        return _object(value, CALLBACKS) if [first, *rest] in (list(ENTRIES), ["trainer", "callbacks+"]) else value
    modules = PLACES.get(first)
    if modules is None:
        return value
    owner = IterativePruning if first == "pruning" else None
    if not rest:
        is_part = isinstance(value, Mapping) and "class_path" not in value
        return _arguments(owner, value, modules) if is_part else _object(value, modules)
    return _argument(owner if len(rest) == 1 else None, rest[-1], value, modules)


def _object(value: Any, modules: tuple[str, ...]) -> Any:
    """Write in full what stands where an object is made: a name, a class with its arguments, or a list of these."""
    if isinstance(value, str):
        return full_name(value, modules)
    if isinstance(value, list):
        return [_object(one, modules) for one in value]
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        return _arguments(None, value, modules) if isinstance(value, Mapping) else value
    path = full_name(value["class_path"], modules)
    inner = value.get("init_args")
    arguments = {"init_args": _arguments(_owner(path), inner, modules)} if isinstance(inner, Mapping) else {}
    return {**value, "class_path": path, **arguments}


def _arguments(owner: Any, values: Mapping[str, Any], modules: tuple[str, ...]) -> dict[str, Any]:
    named = partial(_argument, owner, modules=modules)
    return {
        key: _arguments(owner, one, modules) if key == "init_args" and isinstance(one, Mapping) else named(key, one)
        for key, one in values.items()
    }


def _argument(owner: Any, name: str, value: Any, modules: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        # Without the class, only names of classes are safe: `layerwise` may be a word of its own there.
        meant = value[:1].isupper() if owner is None else takes_object(owner, name)
        return full_name(value, modules) if meant else value
    return _object(value, modules) if isinstance(value, Mapping) else value


def takes_object(owner: Any, name: str) -> bool:
    """Whether an argument takes an object or a function, and no text.

    Args:
        owner: The class.
        name: The argument.

    Example:
        >>> takes_object(IterativePruning, "criterion"), takes_object(IterativePruning, "optimizer_state")
        (True, False)
    """
    found = signature(owner).parameters.get(name)
    hint = str if found is None else found.annotation
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return not any(one in (str, Path, Parameter.empty) or get_origin(one) in (Literal, type, tuple) for one in members)


def _owner(path: str) -> Any:
    try:
        found = class_at(path)
    except (ImportError, AttributeError, ValueError):  # The parser says what is wrong with it.
        return None
    return found if callable(found) else None


@cache
def _known(modules: tuple[str, ...]) -> dict[str, str]:
    """The dotted paths of the public names in some modules. Functions are found in the first, classes in the last."""
    known: dict[str, str] = {}
    for module in modules:
        place = importlib.import_module(module)
        for name in [name for name in dir(place) if not name.startswith("_")]:  # Some are imported only when asked for.
            value = getattr(place, name)
            is_own = getattr(value, "__module__", "").startswith("lightning_prune.")
            if is_own and (isclass(value) or (isfunction(value) and name not in known)):
                known[name] = f"{module}.{name}"
    return known
