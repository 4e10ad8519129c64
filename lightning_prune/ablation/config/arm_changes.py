"""Apply the changes of an arm to the base config, as a second ``--config`` of ``lightning-prune fit`` would."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from lightning_prune.ablation.config.former_keys import with_present_keys
from lightning_prune.ablation.config.parser_errors import named_errors
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.cli.defaults import defaults_for
from lightning_prune.lab.cli.sections import SECTIONS, in_full, with_list

Config = dict[str, Any]


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> Config:
    """Apply the changes of an arm to a config.

    Args:
        base: A config of ``lightning-prune fit``.
        changes: Values by the paths of ``lightning-prune fit``, such as ``policy``, ``pruning.cycles`` or
            ``model.optimizer.lr``. A mapping without ``class_path`` changes single arguments of the object in the base.
            A class replaces the object in the base with all its arguments. Null switches a section off.
        owner: The caller's name for errors.

    Returns:
        The changed config, checked by the parser of ``lightning-prune fit`` and without defaults. The callbacks of the
        sections stand in the list of the Trainer. The base stays as it is.

    Raises:
        ValueError: If a key is unknown, or if a value does not fit it.

    Example:
        >>> base = {"trainer": {"max_epochs": 3}, "pruning": {"cycles": 2}, "policy": "FineTune"}
        >>> changed(base, {"pruning.cycles": 5, "policy": "LRRewind", "trainer.max_epochs": 4}, "arm 'a'")["trainer"]
        ... # doctest: +NORMALIZE_WHITESPACE
        {'max_epochs': 4, 'callbacks': [{'class_path': 'lightning_prune.IterativePruning', 'init_args': {'cycles': 5}},
        {'class_path': 'lightning_prune.LRRewind', 'init_args': {}}]}
    """
    whole = deepcopy(_normal(_text(in_full(base))))
    own = in_full(with_present_keys(changes, whole, owner))
    values = {path: value for key, one in own.items() for path, value in _leaves(whole, key, one)}
    for path in values:
        _refuse_path(path, values[path], owner)
        _take_out(whole, _parts(path))
    # An object comes before its single arguments: `start`, then `start.seed`.
    depths = sorted({len(_parts(path)) for path in values})
    layers = [{path: values[path] for path in values if len(_parts(path)) == depth} for depth in depths]
    return with_list(_parsed([whole, *layers], owner) if values else whole)


@lru_cache(maxsize=4)
def _normal(base: str) -> Config:
    """Write every object of a base config as ``class_path`` and ``init_args``. Model and data have their defaults."""
    config = yaml.safe_load(base)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(base)
        missing = {name: one for name, one in defaults_for([f"--config={path}"]).items() if "." not in name}
    return _parsed([missing, config], "Ablation(base)")


def _text(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False)


def _parsed(configs: Sequence[Mapping[str, Any]], owner: str) -> Config:
    """Let the parser of ``lightning-prune fit`` lay configs over each other, without filling in defaults."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # For class paths such as `mine.Net`, with a mine.py in the current folder.
    with tempfile.TemporaryDirectory() as folder, named_errors(owner):
        paths = [Path(folder, f"{index}.yaml") for index in range(len(configs))]
        for path, config in zip(paths, configs, strict=True):
            path.write_text(_text(config))
        parser = _known().parser
        found = parser.parse_args([f"--config={path}" for path in paths], defaults=False)
        content: Config = yaml.safe_load(parser.dump(found, skip_none=False, skip_validation=True))
    content.pop("config", None)
    return content


class _ParserOnly(CommandLine):
    """The command line without a command, which makes no object."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        self.config: Any = {}

    def instantiate_classes(self) -> None:
        pass

    def _set_seed(self) -> None:
        pass


@cache
def _known() -> CommandLine:
    return _ParserOnly([], run=False)


def _leaves(whole: Mapping[str, Any], path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the single arguments that a mapping without ``class_path`` changes, with their paths."""
    is_part = isinstance(value, Mapping) and "class_path" not in value
    if is_part and (path == "trainer" or _has_arguments(_found(whole, _parts(path)))):
        for key, one in value.items():
            yield from _leaves(whole, f"{path}.{key}" if key != "init_args" else path, one)
    else:
        yield path, value


def _has_arguments(found: Any) -> bool:
    return isinstance(found, Mapping) and "class_path" in found


def _parts(path: str) -> list[str]:
    return [part for part in path.split(".") if part != "init_args"]


def _inside(node: Any) -> Any:
    """The arguments of an object, or the mapping itself."""
    return (node.get("init_args") or {}) if _has_arguments(node) else node


def _found(whole: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        whole = _inside(whole).get(part) if isinstance(_inside(whole), Mapping) else None
    return whole


def _take_out(whole: Config, parts: Sequence[str]) -> None:
    """Take a value out of the base. Otherwise a new class would keep the arguments that the old class has, too."""
    place = _inside(_found(whole, parts[:-1]))
    if isinstance(place, dict):
        place.pop(parts[-1], None)


def _refuse_path(path: str, value: Any, owner: str) -> None:
    first, last = path.split(".")[0], path.split(".")[-1]
    if last == "class_path":
        where = path.rpartition(".")[0]
        raise UserError(f"{owner}: `{path}` would keep the arguments of another class. Write `{where}: {value}`.")
    if first == "seed_everything":
        raise UserError(f"{owner}: `seed_everything` is no part of an arm: every arm runs with the study's `seeds`.")
    if path in SECTIONS and isinstance(value, Mapping) and "class_path" not in value and path != "pruning":
        raise UserError(f"{owner}: the base has no `{path}` whose arguments could change. Name a class: class_path.")
