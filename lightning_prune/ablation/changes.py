"""What an arm changes in the base config: dictionaries in, a dictionary out."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from inspect import isclass, signature
from typing import Any

from lightning_prune.ablation.class_paths import class_at, full_path
from lightning_prune.callbacks.clock import CycleClock
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policy import LearningRatePolicy
from lightning_prune.callbacks.starting_point import StartingPoint

Config = dict[str, Any]

CLOCK = "lightning_prune.IterativePruning"
SECTIONS = ("trainer", "model", "data")
FAMILIES = (CycleClock, LearningRatePolicy, StartingPoint)


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> Config:
    """Apply the changes of an arm to a config.

    Args:
        base: A config of ``lightning-prune fit``.
        changes: ``callbacks`` takes the place of callbacks of the same family in the base: a learning-rate policy for
            the policy, a starting point for the starting point, arguments for an ``IterativePruning``, any other for
            one of the same class; what finds none is added. ``without`` names classes to leave out. Any other key is an
            argument of the arm's own callbacks, else of ``IterativePruning``, else of another callback or of the model,
            a section (``trainer``, ``model``, ``data``), or a path into one, such as ``data.batch_size``. A mapping
            without ``class_path`` changes arguments of what is there.
        owner: Who asks, for errors.

    Returns:
        The changed config; the base stays as it is.

    Raises:
        ValueError: If a key is unknown, or means several things.

    Example:
        >>> base = {"trainer": {"max_epochs": 3, "callbacks": [{"class_path": CLOCK, "init_args": {"cycles": 2}}]}}
        >>> changed(base, {"cycles": 5, "callbacks": ["LRRewind"], "trainer.max_epochs": 4}, "arm 'a'")["trainer"]
        ... # doctest: +NORMALIZE_WHITESPACE
        {'max_epochs': 4, 'callbacks': [{'class_path': 'lightning_prune.IterativePruning', 'init_args': {'cycles': 5}},
        {'class_path': 'lightning_prune.LRRewind', 'init_args': {}}]}
    """
    config = deepcopy(dict(base))
    trainer = config.setdefault("trainer", {})
    trainer["callbacks"] = [entry(one, owner) for one in trainer.get("callbacks") or []]
    own = [entry(one, owner) for one in _as_list(changes.get("callbacks"))]
    for name in _as_list(changes.get("without")):
        _leave_out(trainer["callbacks"], str(name), owner)
    _refuse_rivals(own, owner)
    for one in own:
        _put(trainer["callbacks"], one, own)
    paths = [one["class_path"] for one in own]
    for key, value in changes.items():
        if key not in ("callbacks", "without"):
            set_value(config, str(key), value, paths, owner)
            trainer = config["trainer"]
            trainer["callbacks"] = [entry(one, owner) for one in _as_list(trainer.get("callbacks"))]
    return config


def entry(given: Any, owner: str) -> Config:
    """Write a callback in full: its class path and its arguments.

    Args:
        given: A class path or a name of this package; alone, or as ``class_path`` beside ``init_args``.
        owner: Who asks, for errors.

    Raises:
        ValueError: If it is neither, or there is no such class.

    Example:
        >>> entry("FineTune", "arm 'a'")
        {'class_path': 'lightning_prune.FineTune', 'init_args': {}}
    """
    content: Any = {"class_path": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping) or not isinstance(content.get("class_path"), str):
        raise ValueError(
            f"{owner}: {given!r} is no callback. Write its name, or {{class_path: LRRewind, init_args: {{to: 15ep}}}}."
        )
    unknown = sorted(content.keys() - {"class_path", "init_args", "dict_kwargs"})
    if unknown:
        raise ValueError(
            f"{owner}: {content['class_path']} has {unknown[0]!r} beside class_path and init_args: arguments go into "
            "init_args."
        )
    path = full_path(content["class_path"], owner)
    more = {"dict_kwargs": dict(content["dict_kwargs"])} if content.get("dict_kwargs") else {}
    return {"class_path": path, "init_args": dict(content.get("init_args") or {}), **more}


def set_value(config: Config, key: str, value: Any, own: Sequence[str], owner: str) -> None:
    """Set what a key means.

    Args:
        config: A config with a list of full callbacks; changed in place.
        key: An argument, a section or a path.
        value: Its value; a mapping without ``class_path`` changes what is there.
        own: Class paths of the arm's own callbacks, whose arguments come first.
        owner: Who asks, for errors.

    Raises:
        ValueError: If the key is unknown, or is an argument of several callbacks.
    """
    first, *rest = [part for part in key.split(".") if part != "init_args"]
    if [first, *rest][-1] == "class_path":
        raise ValueError(f"{owner}: `{key}` would keep the arguments of another class. Write `{first}: {value}`.")
    place = _place(config, first, own, owner)
    if not (rest or isinstance(value, Mapping)) and first in place and place is not config and first[:1].isupper():
        raise ValueError(f"{owner}: `{key}` is a callback. Give its arguments, or leave it out (`without: {key}`).")
    for part in [first, *rest][:-1]:
        place = _inside(place, part, f"{owner}: `{key}`")
    place = _arguments(place)
    last = [first, *rest][-1]
    old = place.get(last)
    if isinstance(old, str) and isinstance(value, Mapping) and "class_path" not in value and _parameters(old):
        old = {"class_path": old}
    if isinstance(value, Mapping) and isinstance(old, Mapping) and "class_path" not in value:
        there = place.setdefault(last, {}) if not isinstance(place[last], str) else {}
        there.update(_merged(old, value))  # in its place: of a callback, `place` is only where it was found
        place[last] = there
    else:
        place[last] = deepcopy(value)


def _place(config: Config, key: str, own: Sequence[str], owner: str) -> Config:
    """The dictionary that a key belongs into."""
    callbacks = config["trainer"]["callbacks"]
    if key == "seed_everything":
        raise ValueError(f"{owner}: `seed_everything` is no part of an arm: every arm runs with the study's `seeds`.")
    if key in SECTIONS:
        return config
    named = [one for one in callbacks if one["class_path"].rsplit(".", 1)[-1] == key]
    if len(named) > 1:
        raise ValueError(f"{owner}: the base has {len(named)} callbacks {key}. Give each arm its own with `callbacks`.")
    if named:
        return {key: named[0]}
    for candidates in ([one for one in callbacks if one["class_path"] in own], _clocks(callbacks), callbacks):
        takers = [one for one in candidates if key in _parameters(one["class_path"])]
        if len(takers) > 1:
            names = " and ".join(one["class_path"].rsplit(".", 1)[-1] for one in takers)
            raise ValueError(f"{owner}: `{key}` is an argument of {names}. Write which, for instance `Class.{key}`.")
        if takers:
            return takers[0]["init_args"]  # type: ignore[no-any-return]
    model = config.get("model")
    if isinstance(model, Mapping) and key in _parameters(str(model.get("class_path"))):
        return config["model"].setdefault("init_args", {})  # type: ignore[no-any-return]
    known = _known(config, own)
    nearest = get_close_matches(key, known, n=1)
    guess = f"Did you mean `{nearest[0]}`?" if nearest else f"There are {', '.join(known)}."
    raise ValueError(f"{owner}: there is no `{key}`. {guess}")


def _known(config: Config, own: Sequence[str]) -> list[str]:
    paths = [*own, *(one["class_path"] for one in config["trainer"]["callbacks"])]
    model = config.get("model") or {}
    parameters = [name for path in [*paths, str(model.get("class_path"))] for name in _parameters(path)]
    return [*SECTIONS, "callbacks", "without", "grid", "search", *dict.fromkeys(parameters)]


def _inside(place: Config, part: str, said: str) -> Config:
    inner = _arguments(place)
    if isinstance(inner.get(part), str) and _parameters(inner[part]):
        inner[part] = {"class_path": inner[part]}
    found = inner.setdefault(part, {})
    if not isinstance(found, dict):
        raise ValueError(f"{said}: {part} is {found!r}, which has no arguments to change.")
    return found


def _arguments(place: Config) -> Config:
    """The arguments of a class, or the dictionary itself."""
    return place.setdefault("init_args", {}) if "class_path" in place else place


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Config:
    merged = deepcopy(dict(old))
    target = _arguments(merged)
    for key, value in new.items():
        if key == "init_args" and "class_path" in merged:
            target.update(deepcopy(dict(value)))
        elif isinstance(value, Mapping) and isinstance(target.get(key), Mapping) and "class_path" not in value:
            target[key] = _merged(target[key], value)
        else:
            target[key] = deepcopy(value)
    return merged


def _refuse_rivals(own: Sequence[Config], owner: str) -> None:
    """Refuse callbacks of an arm that would take each other's place."""
    for family in FAMILIES:
        rivals = [one["class_path"].rsplit(".", 1)[-1] for one in own if _family(one) is family]
        if len(rivals) > 1:
            raise ValueError(f"{owner}: {' and '.join(rivals)} would take each other's place: keep one of them.")


def _family(callback: Config) -> Any:
    cls = class_at(callback["class_path"])
    return next((one for one in FAMILIES if isclass(cls) and issubclass(cls, one)), cls)


def _put(callbacks: list[Config], new: Config, own: Sequence[Config]) -> None:
    """Replace the base's callback of the same family, or add it; IterativePruning's arguments change one by one."""
    new_class, family = class_at(new["class_path"]), _family(new)
    for index, old in enumerate(callbacks):
        old_class = class_at(old["class_path"])
        if any(old is one for one in own):
            continue
        if isclass(old_class) and isclass(family) and issubclass(old_class, family):
            merges = family is CycleClock and old_class is new_class
            callbacks[index] = _merged(old, new["init_args"]) if merges else new
            return
    callbacks.append(new)


def _leave_out(callbacks: list[Config], name: str, owner: str) -> None:
    left = [one for one in callbacks if name not in (one["class_path"], one["class_path"].rsplit(".", 1)[-1])]
    if len(left) == len(callbacks):
        there = ", ".join(one["class_path"].rsplit(".", 1)[-1] for one in callbacks) or "none"
        raise ValueError(f"{owner}: `without: {name}` is not among the base's callbacks, which are {there}.")
    callbacks[:] = left


def _clocks(callbacks: Sequence[Config]) -> list[Config]:
    return [one for one in callbacks if one["class_path"] in (CLOCK, _dotted(IterativePruning))]


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _parameters(class_path: str) -> list[str]:
    try:
        found = class_at(class_path)
    except (ImportError, AttributeError, ValueError):
        return []
    return list(signature(found).parameters) if callable(found) else []


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
