"""The sections `pruning`, `policy` and `start` of a config: the callbacks of which a run has at most one.

In a Python program these callbacks stand in the list of the Trainer, as they did in configs of earlier versions. Such
configs are read as if they had the sections.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import get_loader, set_loader
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser
from yaml import YAMLError

from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.base import CycleMember
from lightning_prune.callbacks.companions.cycle_checkpoint import CycleCheckpoint
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.lab.cli.short_names import full_name, with_full_names

SECTIONS: dict[str, type[CycleMember]] = {
    "pruning": IterativePruning,
    "policy": LearningRatePolicy,
    "start": StartingPoint,
}
COMMANDS = ("fit", "validate", "test", "predict")
MODE = "lightning_prune"  # The name under which jsonargparse knows how configs are read.


def add_sections(parser: LightningArgumentParser) -> None:
    """Add the sections to a parser. Each may be left out, or be null.

    Args:
        parser: The parser of a command.
    """
    for name, base in SECTIONS.items():
        parser.add_subclass_arguments(base, name, required=False, fail_untyped=False)


def read_config(text: str) -> Any:
    """Load a config, or the value of an option, with full names and with sections.

    Args:
        text: The YAML text.

    Example:
        >>> read_config("trainer: {callbacks: [IterativePruning]}")["pruning"]
        'lightning_prune.IterativePruning'
    """
    content = get_loader("yaml")(text)
    is_config = isinstance(content, Mapping) and "class_path" not in content
    return in_full(content) if is_config else content


set_loader(MODE, read_config, exceptions=(YAMLError,))


def in_full(config: Mapping[str, Any]) -> dict[str, Any]:
    """Write a config with full names and with sections.

    Args:
        config: A config of ``lightning-prune fit``. It may hold the config of a command, such as ``fit``.
    """
    whole = with_sections(with_full_names(config))
    inner = {name: in_full(whole[name]) for name in COMMANDS if isinstance(whole.get(name), Mapping)}
    return {**whole, **inner}


def with_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Move callbacks from the list of the Trainer into their sections.

    Args:
        config: A config of ``lightning-prune fit``.

    Returns:
        The config with sections, if its list has one of these callbacks. The list replaces the policy and the starting
        point of an earlier config, so that these are null if they are not in it. A list with two callbacks for one
        section stays as it is, as does a list with a callback for a section that the config has, too.

    Example:
        >>> with_sections({"trainer": {"callbacks": ["lightning_prune.LRRewind", "mine.Log"]}})
        {'trainer': {'callbacks': ['mine.Log']}, 'policy': 'lightning_prune.LRRewind', 'start': None}
    """
    trainer = config.get("trainer")
    given = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    entries = given if isinstance(given, list) else [given]
    places = [section_of(one) for one in entries]
    found = {place: one for place, one in zip(places, entries, strict=True) if place is not None}
    several = sum(place is not None for place in places) > len(found)
    if not found or several or any(config.get(place) is not None for place in found):
        return dict(config)
    others = [one for place, one in zip(places, entries, strict=True) if place is None]
    absent = {name: None for name in ("policy", "start") if name not in config}
    return {**config, "trainer": {**trainer, "callbacks": others or None}, **absent, **found}  # type: ignore[dict-item]


def with_list(config: Mapping[str, Any]) -> dict[str, Any]:
    """Move callbacks from their sections into the list of the Trainer, as a Python program has them.

    Args:
        config: A config of ``lightning-prune fit``, with full names.

    Example:
        >>> with_list({"pruning": {"cycles": 3}})["trainer"]["callbacks"]
        [{'class_path': 'lightning_prune.IterativePruning', 'init_args': {'cycles': 3}}]
    """
    found = {name: config[name] for name in SECTIONS if config.get(name) is not None}
    given = (config.get("trainer") or {}).get("callbacks") or []
    others = given if isinstance(given, list) else [given]
    ours = [_entry(one, name) for name, one in found.items()]
    rest = {key: value for key, value in config.items() if key not in SECTIONS}
    return {**rest, "trainer": {**(config.get("trainer") or {}), "callbacks": [*ours, *others]}}


def section_of(entry: Any) -> str | None:
    """Name the section of a callback. None if it has no section.

    Args:
        entry: A class path or a short name. It stands alone, or as ``class_path`` beside ``init_args``.

    Example:
        >>> section_of("LRRewind"), section_of({"class_path": "lightning_prune.TrainOnly"})
        ('policy', None)
    """
    path = entry.get("class_path") if isinstance(entry, Mapping) else entry
    try:
        found = class_at(full_name(path)) if isinstance(path, str) else None
    except (ImportError, AttributeError, ValueError):  # The parser says what is wrong with it.
        return None
    if not isinstance(found, type):
        return None
    return next((name for name, base in SECTIONS.items() if issubclass(found, base)), None)


def callbacks_of(sections: Mapping[str, Any], switched_off: bool) -> list[Callback]:
    """List the callbacks of the sections.

    Args:
        sections: A config whose objects are made.
        switched_off: Whether ``pruning`` is null on purpose. A policy and a starting point then have nothing to do.
    """
    return [] if switched_off else [sections[name] for name in SECTIONS if sections.get(name) is not None]


def without_members(callbacks: Sequence[Callback]) -> list[Callback]:
    """Leave out the callbacks that have a part in the cycles."""
    return [one for one in callbacks if not isinstance(one, CycleMember | CycleCheckpoint)]


def _entry(given: Any, section: str) -> dict[str, Any]:
    if isinstance(given, str):
        return {"class_path": given, "init_args": {}}
    if "class_path" in given:
        return {**given, "init_args": given.get("init_args") or {}}
    base = SECTIONS[section]
    return {"class_path": f"lightning_prune.{base.__name__}", "init_args": dict(given)}
