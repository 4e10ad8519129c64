"""Refuse common wrong values on the command line and in configs, before they are parsed.

A parser would list the types that it tried. The errors of this module say what to write.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from lightning_prune import IterativePruning
from lightning_prune.basics.config_files import FILES, require_config
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.guesses import meant
from lightning_prune.lab.cli.defaults import Tree, configs, options

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
        for callback in _callbacks(tree):
            _refuse_values(callback)
    _refuse_other_callback(words)


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


def _callbacks(tree: Tree) -> Iterator[Mapping[str, Any]]:
    trainer = tree.get("trainer")
    given = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            yield {"class_path": one}
        elif isinstance(one, Mapping) and "class_path" in one:
            yield one


def _name(callback: Mapping[str, Any]) -> str:
    return str(callback["class_path"]).rpartition(".")[2]


def _refuse_values(callback: Mapping[str, Any]) -> None:
    arguments = callback.get("init_args")
    if _name(callback) != "IterativePruning" or not isinstance(arguments, Mapping):
        return
    for name in ("sparsity", "criterion", "allocation", "prunable"):
        given = arguments.get(name)
        if not _is_path(given) and (found := meant(name, given)) is not None:
            path, values = found
            right = {"class_path": path, "init_args": values} if values is not None else path
            raise UserError(
                f"IterativePruning({name}={given!r}) is not what it takes. Write `{name}: {_in_yaml(right)}`."
            )


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


def _refuse_other_callback(words: Sequence[str]) -> None:
    """Refuse an argument of ``IterativePruning`` that would change another callback, the last of the list."""
    keys = [key for key, _ in options(words)]
    if any(key.rstrip("+") == CALLBACKS.rstrip(".") for key in keys):
        return
    listed = [callback for tree in configs(words) for callback in _callbacks(tree)]
    names = [_name(callback) for callback in listed]
    if "IterativePruning" not in names[:-1]:
        return
    for argument in _own(key.removeprefix(CALLBACKS) for key in keys if key.startswith(CALLBACKS)):
        raise UserError(
            f"`--{CALLBACKS}{argument}` goes to the last callback of the config, {names[-1]}, and not to "
            "IterativePruning. On the command line only the last one can be changed. Write it into the config, or into "
            f"a copy: {shlex.join(['lightning-prune', *_without(words), '--print_config'])} > mine.yaml."
        )


def _own(arguments: Iterable[str]) -> Iterator[str]:
    return (one for one in arguments if one.split(".")[0] in signature(IterativePruning).parameters)


def _without(words: Sequence[str]) -> list[str]:
    """The words without those that set arguments of callbacks."""
    kept = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before.startswith(f"--{CALLBACKS}") and "=" not in before and not word.startswith("-")
        if not word.startswith(f"--{CALLBACKS}") and not is_value:
            kept.append(word)
    return kept
