"""Read arms as earlier versions wrote them: `callbacks`, `without`, and arguments without a path."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from inspect import signature
from typing import Any

from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.nearest import nearest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.sections import SECTIONS, section_of
from lightning_prune.lab.cli.short_names import full_name

PRESENT = (*SECTIONS, "trainer", "model", "data", "seed_everything")
FORMER = ("callbacks", "without")
LIST = "trainer.callbacks"


def with_present_keys(changes: Mapping[str, Any], base: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Write the changes of an arm with the paths of ``lightning-prune fit``.

    Args:
        changes: Changes by key. A key of an earlier version is ``callbacks``, ``without``, the name of a callback, or
            an argument of a callback or of the model.
        base: The base config, with sections. Every object has its ``class_path``.
        owner: The caller's name for errors.

    Raises:
        UserError: If there is no such key, or if two callbacks of the arm have one section.

    Example:
        >>> base = {"pruning": {"class_path": "lightning_prune.IterativePruning"}}
        >>> with_present_keys({"callbacks": "LRRewind", "cycles": 3, "to": "2ep"}, base, "arm 'a'")
        {'policy': 'LRRewind', 'pruning.cycles': 3, 'policy.to': '2ep'}
    """
    found = {**_left_out(_as_list(changes.get("without")), base, owner)}
    found |= _replaced(_as_list(changes.get("callbacks")), found.get(LIST, _listed(base)), owner)
    own = {name: found[name] for name in SECTIONS if found.get(name) is not None}
    for key, value in changes.items():
        if key.split(".")[0] in PRESENT:
            found[key] = value
        elif key not in FORMER:
            found |= _moved(key, value, own, {**base, "trainer": {"callbacks": found.get(LIST, _listed(base))}}, owner)
    return found


def _as_list(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, list | tuple) else [given]


def _listed(base: Mapping[str, Any]) -> list[Any]:
    return _as_list((base.get("trainer") or {}).get("callbacks"))


def _left_out(names: list[Any], base: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Switch off the sections, and shorten the list, by the names of classes."""
    found: dict[str, Any] = {}
    for name in names:
        listed = found.get(LIST, _listed(base))
        sections = [one for one in SECTIONS if name in _names_of(base.get(one))]
        left = [one for one in listed if name not in _names_of(one)]
        if not sections and len(left) == len(listed):
            there = [_names_of(one)[-1] for one in [*map(base.get, SECTIONS), *listed] if one]
            raise UserError(
                f"{owner}: `without: {name}` is not among the base's callbacks, which are {', '.join(there) or 'none'}."
            )
        found |= dict.fromkeys(sections) if sections else {LIST: left}
    return found


def _replaced(own: list[Any], listed: list[Any], owner: str) -> dict[str, Any]:
    """Give each callback of an arm its section, or the place of a callback of its class in the list."""
    found: dict[str, Any] = {}
    others = [one for one in own if section_of(one) is None]
    for one in own:
        section = section_of(one)
        if section in found:
            names = f"{_names_of(found[section])[-1]} and {_names_of(one)[-1]}"
            raise UserError(f"{owner}: {names} would take each other's place: keep one of them.")
        if section is not None:
            found[section] = one
    clock = found.get("pruning")
    if clock is not None and _names_of(clock)[-1] == "IterativePruning":  # Its arguments change one by one.
        del found["pruning"]
        arguments = clock.get("init_args") or {} if isinstance(clock, Mapping) else {}
        found |= {f"pruning.{key}": value for key, value in arguments.items()}
    if others:
        found[LIST] = [*(one for one in listed if not any(_is_a(one, other) for other in others)), *others]
    return found


def _moved(key: str, value: Any, own: Mapping[str, Any], base: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Give an argument its path. The arm's own callbacks come first, then ``IterativePruning``, then the others."""
    first, _, rest = key.partition(".")
    whole = {**base, **own}
    named = next((one for one in SECTIONS if whole.get(one) and first == _names_of(whole[one])[-1]), None)
    if named is not None:
        if not rest and not isinstance(value, Mapping):
            raise UserError(f"{owner}: `{key}` is a callback. Give its arguments, or switch it off: `{named}: null`.")
        return {f"{named}.{rest}" if rest else named: value}
    for section in (*own, "pruning", *SECTIONS, "model"):
        if first in _parameters(whole.get(section)):
            return {f"{section}.{key}": value}
    listed = deepcopy(_listed(base))
    for index, one in enumerate(listed):
        entry = dict(one) if isinstance(one, Mapping) else {"class_path": one}
        argument = rest if first == _names_of(one)[-1] else key
        if argument in _parameters(one):
            listed[index] = {**entry, "init_args": {**(entry.get("init_args") or {}), argument: value}}
            return {LIST: listed}
    raise UserError(f"{owner}: there is no `{key}`. {_guess(first, whole)}")


def _guess(key: str, base: Mapping[str, Any]) -> str:
    sections = {**{name: base.get(name) for name in (*SECTIONS, "model", "data")}, "trainer": "lightning.Trainer"}
    known = {one: f"{name}.{one}" for name, given in reversed(sections.items()) for one in _parameters(given)}
    found = nearest(key, [*PRESENT, *known])
    return f"Did you mean `{known.get(found, found)}`?" if found else f"There are {', '.join(PRESENT[:-1])}."


def _path_of(given: Any) -> str:
    return full_name(str(given.get("class_path") if isinstance(given, Mapping) else given))


def _names_of(given: Any) -> list[str]:
    """The names of the class of a callback: as it is given, in full, and without its module."""
    path = _path_of(given)
    return [str(given), path, path.rpartition(".")[2]]


def _class_of(given: Any) -> Any:
    try:
        return class_at(_path_of(given))
    except (ImportError, AttributeError, ValueError):  # The parser says what is wrong with it.
        return None


def _is_a(one: Any, other: Any) -> bool:
    classes = _class_of(one), _class_of(other)
    return all(isinstance(cls, type) for cls in classes) and issubclass(*classes)


def _parameters(given: Any) -> Iterator[str]:
    found = None if given is None else _class_of(given)
    return iter(signature(found).parameters if callable(found) else ())
