"""Prepare the words of a command: full names of this package's classes, and new classes without old arguments."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_prune.basics.config_files import is_file
from lightning_prune.lab.cli.defaults import configs, load_value, options
from lightning_prune.lab.cli.sections import COMMANDS, SECTIONS, in_full
from lightning_prune.lab.cli.short_names import with_full_names

REPLACED = ("policy", "start")


def in_full_words(words: Sequence[str]) -> list[str]:
    """Write the names of this package in full in the values of options.

    A policy or a starting point that is named replaces the one of the config with all its arguments. jsonargparse would
    keep the arguments that both classes have.

    Args:
        words: The command and its arguments.

    Example:
        >>> in_full_words(["fit", "--pruning.criterion", "random", "--policy=FineTune"])
        ... # doctest: +NORMALIZE_WHITESPACE
        ['fit', '--pruning.criterion', 'lightning_prune.criteria.random', '--policy=null',
        '--policy=lightning_prune.FineTune']
    """
    return [full for before, word in zip(["", *words], words, strict=False) for full in _in_full(before, word)]


def is_switched_off(words: Sequence[str]) -> bool:
    """Whether the last word on ``pruning`` is null.

    Args:
        words: The command and its arguments.

    Example:
        >>> is_switched_off(["fit", "--pruning.cycles=3"]), is_switched_off(["fit", "--pruning=null"])
        (False, True)
    """
    said = [False, *_said(words)]
    return said[-1]


def _said(words: Sequence[str]) -> Iterator[bool]:
    for key, value in options(words):
        if key in ("config", "c"):
            for tree in configs([f"--{key}={value}"]):
                whole = in_full(tree)
                for part in (whole, *(whole[name] for name in COMMANDS if isinstance(whole.get(name), Mapping))):
                    yield from (part[name] is None for name in part if name.split(".")[0] == "pruning")
        elif key.split(".")[0] == "pruning":
            yield key == "pruning" and load_value(value) is None


def _in_full(before: str, word: str) -> Iterator[str]:
    """Write a word in full. It is an option with its value, a value after its option, or something else."""
    joined = word.startswith("--") and "=" in word
    is_value = not word.startswith("-") and before.startswith("--") and "=" not in before
    if not (joined or is_value):
        key = word.removeprefix("--")
        if word.startswith("--") and key in REPLACED:
            yield f"--{key}=null"
        yield word
        return
    key, value = word[2:].split("=", 1) if joined else (before[2:], word)
    if joined and key in REPLACED:
        yield f"--{key}=null"
    full = _value(key, value)
    yield f"--{key}={full}" if joined else full


def _value(key: str, value: str) -> str:
    if key.split(".")[0] not in (*SECTIONS, "model", "data", "trainer") or is_file(Path(value)):
        return value
    given: Any = load_value(value)
    full = with_full_names({key: given})[key]
    if full == given:
        return value
    return full if isinstance(full, str) else json.dumps(full)
