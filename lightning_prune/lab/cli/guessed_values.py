"""Refuse common wrong values on the command line and in configs, before they are parsed.

A parser would list the types that it tried. The errors of this module say what to write.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from lightning_prune.basics.config_files import FILES, require_config
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.guesses import meant
from lightning_prune.lab.cli.defaults import Tree, configs, load_value, options, trees
from lightning_prune.lab.cli.sections import SECTIONS, in_full
from lightning_prune.lab.cli.short_names import full_name

CALLBACKS = "trainer.callbacks."


def refuse_guesses(words: Sequence[str]) -> None:
    """Refuse a missing config, a config that is a study, and wrong values of ``IterativePruning``.

    Args:
        words: The command and its arguments.

    Raises:
        FileNotFoundError: If a config does not exist.
        ValueError: If a value is wrong. The message says what to write.
    """
    for key, value in options(words):
        if key in ("config", "c"):
            _refuse_missing(Path(value))
    for tree in configs(words):
        _refuse_study(tree, words)
    for tree in trees(words):
        refuse_values(tree)
    _refuse_former_options(words)


def refuse_values(tree: Tree) -> None:
    """Refuse wrong values of ``IterativePruning``.

    Args:
        tree: A config, or an option as a config.

    Raises:
        ValueError: If a value is wrong. The message says what to write.
    """
    for arguments in _pruning_arguments(tree):
        _refuse_values(arguments)


def _refuse_missing(path: Path) -> None:
    if path.suffix in FILES:
        require_config(f"`--config {path}`", path)


def _refuse_study(tree: Tree, words: Sequence[str]) -> None:
    if "arms" in tree and "trainer" not in tree:
        given = next((value for key, value in options(words) if key in ("config", "c")), "STUDY")
        raise UserError(
            f"`--config {given}` is a study: it has `arms`. Compare them with "
            f"{shlex.join(['lightning-prune', 'ablate', f'--config={given}'])}."
        )


def _pruning_arguments(tree: Tree) -> Iterator[Mapping[str, Any]]:
    """Yield the arguments of every ``IterativePruning`` in a config or an option."""
    trainer = tree.get("trainer")
    given = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    listed = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, Mapping)]
    section = tree.get("pruning")
    for one in [one for one in listed if _name(one) == "IterativePruning"] + [section]:
        arguments = one.get("init_args", one) if isinstance(one, Mapping) else None
        if isinstance(arguments, Mapping):
            yield arguments


def _name(callback: Mapping[str, Any]) -> str:
    return str(callback.get("class_path")).rpartition(".")[2]


def _refuse_values(arguments: Mapping[str, Any]) -> None:
    for name in ("sparsity", "criterion", "allocation", "prunable"):
        text = arguments.get(name)
        given = load_value(text) if isinstance(text, str) else text
        if _is_name(given) or (found := meant(name, given)) is None:
            continue
        path, values = found
        right = {"class_path": path, "init_args": values} if values is not None else path
        raise UserError(f"IterativePruning({name}={given!r}) is not what it takes. Write `{name}: {_in_yaml(right)}`.")


def _is_name(given: object) -> bool:
    """Whether a value is the name of a class or of a function of this package, or may be a dotted path."""
    return isinstance(given, str) and (_is_path(given) or full_name(given) != given)


def _is_path(given: object) -> bool:
    """Whether a value may be the dotted path of a class or of a function."""
    parts = given.split(".") if isinstance(given, str) else [""]
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _in_yaml(value: object) -> str:
    """Write a value as YAML in one line.

    Example:
        >>> _in_yaml({"class_path": "lightning_prune.OneShot", "init_args": {"final": 0.8}})
        '{class_path: lightning_prune.OneShot, init_args: {final: 0.8}}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_in_yaml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_in_yaml, value)) + "]"
    return "..." if value is ... else str(value)


def _refuse_former_options(words: Sequence[str]) -> None:
    """Refuse ``--trainer.callbacks.cycles``: the callbacks of the sections are not in the list of the Trainer."""
    keys = [key for key, _ in options(words)]
    if any(key.rstrip("+") == CALLBACKS.rstrip(".") for key in keys):
        return
    whole = [in_full(tree) for tree in configs(words)]
    if any((tree.get("trainer") or {}).get("callbacks") for tree in whole):
        return  # They are for the last callback in the list.
    for argument in [key.removeprefix(CALLBACKS) for key in keys if key.startswith(CALLBACKS)]:
        for section in SECTIONS:
            if any(argument.split(".")[0] in _takes(section, tree.get(section)) for tree in whole):
                raise UserError(f"`--{CALLBACKS}{argument}` goes to no callback. Write `--{section}.{argument}`.")


def _takes(section: str, given: Any) -> list[str]:
    """The arguments that the callback of a section takes."""
    path = given.get("class_path") if isinstance(given, Mapping) else given
    try:
        owner = class_at(path) if isinstance(path, str) else SECTIONS[section]
    except (ImportError, AttributeError, ValueError):
        return []
    return list(signature(owner).parameters)
