"""Make callbacks from the entries of a config."""

from collections.abc import Iterable, Mapping
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import Callback

from lightning_prune.lab.cli.calls import refuse_calls
from lightning_prune.lab.cli.command_line import silence


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
