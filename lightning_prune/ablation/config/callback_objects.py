"""Read and write callbacks in a config, make them from their entries, and find their parts in the cycles."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import Callback

from lightning_prune.basics.dotted_paths import class_at, dotted
from lightning_prune.callbacks.base import Kind, kind_of
from lightning_prune.lab.cli.calls import refuse_calls
from lightning_prune.lab.cli.command_line import silence

CLOCK = "lightning_prune.IterativePruning"
Entry = TypeVar("Entry", bound=Mapping[str, Any])


def make_callbacks(entries: Iterable[Mapping[str, Any]]) -> list[Callback]:
    """Make callbacks from their class paths and arguments.

    Args:
        entries: The entries. Each is ``{"class_path": ..., "init_args": ...}``.

    Example:
        >>> make_callbacks([{"class_path": "lightning_prune.FineTune", "init_args": {"lr": 0.1}}])[0].lr
        0.1
    """
    silence()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--callbacks", type=list[Callback])
    parsed = parser.parse_object({"callbacks": [dict(one) for one in entries]})
    refuse_calls(parsed)
    made: list[Callback] = parser.instantiate_classes(parsed).callbacks
    return made


def entry_of(cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write a class and its arguments as an entry of a config, by the longest name of the class.

    Example:
        >>> entry_of(Callback, {})
        {'class_path': 'lightning.pytorch.callbacks.callback.Callback', 'init_args': {}}
    """
    return {"class_path": dotted(cls), "init_args": dict(arguments)}


def name_in(entry: Mapping[str, Any]) -> str:
    """The name of the class of an entry, without its module.

    Example:
        >>> name_in({"class_path": "lightning_prune.FineTune"})
        'FineTune'
    """
    return str(entry["class_path"]).rpartition(".")[2]


def kind_in(entry: Mapping[str, Any]) -> Kind | None:
    """Say which part the callback of an entry has in the cycles.

    Args:
        entry: ``{"class_path": ..., "init_args": ...}``.

    Returns:
        The kind of the callback. None if it has no part in the cycles.

    Example:
        >>> kind_in({"class_path": "lightning_prune.FineTune"})
        <Kind.LEARNING_RATE: 'set the learning rate'>
    """
    return kind_of(class_at(entry["class_path"]))


def clock_in(entries: Iterable[Entry]) -> Entry | None:
    """Find the entry of the clock, an ``IterativePruning``. None if there is no clock.

    Args:
        entries: The entries. Each is ``{"class_path": ..., "init_args": ...}``.

    Example:
        >>> clock_in([{"class_path": f"lightning_prune.{name}"} for name in ("FineTune", "IterativePruning")])
        {'class_path': 'lightning_prune.IterativePruning'}
    """
    return next((one for one in entries if kind_in(one) is Kind.CLOCK), None)
