"""Set a key of an arm: an argument of a callback or of the model, a section of the config, or a path into one."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import signature
from typing import Any

from lightning_prune.ablation.config.callback_objects import kind_in, name_in
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.nearest import nearest
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import Kind

Config = dict[str, Any]

CLOCK = "lightning_prune.IterativePruning"
SECTIONS = ("trainer", "model", "data")


def set_value(config: Config, key: str, value: Any, own: Sequence[str], owner: str) -> None:
    """Set the value of a key at its place in a config.

    Args:
        config: A config whose callbacks are a list, written in full. It is changed in place.
        key: An argument, a section or a path.
        value: The value. A mapping without ``class_path`` changes single arguments of the old value.
        own: The class paths of the arm's own callbacks. Their arguments are looked at first.
        owner: The caller's name for errors.

    Raises:
        ValueError: If the key is unknown, or is an argument of several callbacks.
    """
    first, *rest = [part for part in key.split(".") if part != "init_args"]
    if [first, *rest][-1] == "class_path":
        raise UserError(f"{owner}: `{key}` would keep the arguments of another class. Write `{first}: {value}`.")
    place = _place(config, first, own, owner)
    if not (rest or isinstance(value, Mapping)) and first in place and place is not config and first[:1].isupper():
        raise UserError(f"{owner}: `{key}` is a callback. Give its arguments, or leave it out (`without: {key}`).")
    for part in [first, *rest][:-1]:
        place = _inside(place, part, f"{owner}: `{key}`")
    place = _arguments(place)
    last = [first, *rest][-1]
    if _is_part(value) and isinstance(old := _as_class(place.get(last)), Mapping):
        there = place.setdefault(last, {}) if not isinstance(place[last], str) else {}
        there.update(merged(old, value))  # In place, because a callback's `place` is a mapping made by the look-up.
        place[last] = there
    else:
        place[last] = deepcopy(value)


def _place(config: Config, key: str, own: Sequence[str], owner: str) -> Config:
    """Find the dictionary to which a key belongs."""
    callbacks = config["trainer"]["callbacks"]
    if key == "seed_everything":
        raise UserError(f"{owner}: `seed_everything` is no part of an arm: every arm runs with the study's `seeds`.")
    if key in SECTIONS:
        return config
    named = [one for one in callbacks if name_in(one) == key]
    if len(named) > 1:
        raise UserError(f"{owner}: the base has {len(named)} callbacks {key}. Give each arm its own with `callbacks`.")
    if named:
        return {key: named[0]}
    for candidates in (
        [one for one in callbacks if one["class_path"] in own],
        [one for one in callbacks if kind_in(one) is Kind.CLOCK],
        callbacks,
    ):
        takers = [one for one in candidates if key in _parameters(one["class_path"])]
        if len(takers) > 1:
            names = " and ".join(name_in(one) for one in takers)
            raise UserError(f"{owner}: `{key}` is an argument of {names}. Write which, for instance `Class.{key}`.")
        if takers:
            return takers[0]["init_args"]  # type: ignore[no-any-return]
    model = config.get("model")
    if isinstance(model, Mapping) and key in _parameters(str(model.get("class_path"))):
        return config["model"].setdefault("init_args", {})  # type: ignore[no-any-return]
    raise UserError(f"{owner}: there is no `{key}`. {_guess(key, config, own)}")


def _guess(key: str, config: Config, own: Sequence[str]) -> str:
    known = _known(config, own)
    within = {name: f"{section}.{name}" for section, path in _classes(config) for name in _parameters(path)}
    found = nearest(key, [*known, *within])
    return f"Did you mean `{within.get(found, found)}`?" if found is not None else f"There are {', '.join(known)}."


def _classes(config: Config) -> list[tuple[str, str]]:
    """The sections whose arguments need a path, with the class that takes them."""
    data = config.get("data") or {}
    return [("trainer", "lightning.Trainer"), ("data", data if isinstance(data, str) else str(data.get("class_path")))]


def _known(config: Config, own: Sequence[str]) -> list[str]:
    paths = [*own, *(one["class_path"] for one in config["trainer"]["callbacks"])]
    model = config.get("model") or {}
    parameters = [name for path in [*paths, str(model.get("class_path"))] for name in _parameters(path)]
    return [*SECTIONS, "callbacks", "without", "grid", "search", *dict.fromkeys(parameters)]


def _inside(place: Config, part: str, said: str) -> Config:
    inner = _arguments(place)
    inner[part] = found = _as_class(inner.get(part, {}))
    if not isinstance(found, dict):
        raise UserError(f"{said}: {part} is {found!r}, which has no arguments to change.")
    return found


def _arguments(place: Config) -> Config:
    """The arguments of a class, or the dictionary itself."""
    return place.setdefault("init_args", {}) if "class_path" in place else place


def _as_class(value: Any) -> Any:
    """Give a class that is written by its path alone room for its arguments. Any other value stays as it is."""
    return {"class_path": value} if isinstance(value, str) and _parameters(value) else value


def _is_part(value: Any) -> bool:
    """Whether a value is arguments for what is there, instead of something to take its place."""
    return isinstance(value, Mapping) and "class_path" not in value


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Config:
    """Change some arguments of a class.

    Args:
        old: A class with its arguments, or a dictionary of arguments.
        new: The new arguments. A mapping without ``class_path`` changes single arguments of the old value.
    """
    whole = deepcopy(dict(old))
    target = _arguments(whole)
    for key, value in new.items():
        if key == "init_args" and "class_path" in whole:
            target.update(deepcopy(dict(value)))
        elif _is_part(value) and isinstance(target.get(key), Mapping):
            target[key] = merged(target[key], value)
        else:
            target[key] = deepcopy(value)
    return whole


def _parameters(class_path: str) -> list[str]:
    try:
        found = class_at(class_path)
    except (ImportError, AttributeError, ValueError):
        return []
    return list(signature(found).parameters) if callable(found) else []
