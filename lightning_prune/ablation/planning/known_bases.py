"""Resolve many configs that differ only in their callbacks. The rest is parsed once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.planning.resolving import (
    Resolved,
    described,
    divided,
    missing_policy,
    resolve_whole,
)
from lightning_prune.ablation.sharing.node import key_of
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.base import kind_of
from lightning_prune.lab.cli.calls import refuse_calls
from lightning_prune.lab.cli.command_line import CommandLine, silence
from lightning_prune.lab.cli.guessed_values import refuse_values
from lightning_prune.lab.cli.sections import SECTIONS, add_sections, callbacks_of, with_list, with_sections

MOST = 4  # Each holds a network and a parser.


class KnownBases:
    """Resolve the configs of a study, and remember the last ones.

    Where a config differs from a remembered one only in callbacks for the cycles, only these are parsed. Any other
    config, and any config with an error, is parsed as a whole.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Resolved, CommandLine]] = OrderedDict()
        self._data: dict[str, Any] = {}

    def resolve(self, config: Mapping[str, Any], owner: str) -> Resolved:
        """Resolve a config.

        Args:
            config: The config.
            owner: The arm's name for errors.

        Raises:
            ValueError: If the config cannot be parsed, or its lengths do not fit together.
        """
        key = key_of({**config, "trainer": {**config["trainer"], "callbacks": None}})
        if key in self._known and (found := self._with_other_callbacks(key, config, owner)) is not None:
            self._known.move_to_end(key)
            return found
        resolved, made = resolve_whole(config, owner, self._data)
        self._known[key] = (resolved, made)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return resolved

    def _with_other_callbacks(self, key: str, config: Mapping[str, Any], owner: str) -> Resolved | None:
        """Resolve a config that differs from a known one in its callbacks. None if it has to be parsed as a whole."""
        before, made = self._known[key]
        entries = list(config["trainer"].get("callbacks") or [])
        try:
            if not _are_of_cycles(entries):
                return None
            listed, callbacks = _made(entries)
            if (policy := missing_policy(callbacks)) is not None:
                listed, callbacks = _made([*entries, policy])
            made.trainer.callbacks = callbacks  # type: ignore[attr-defined]
            content = {**before.config, "trainer": {**before.config["trainer"], "callbacks": listed}}
            return described(content, made, callbacks, divided(made.trainer, callbacks, owner), self._data)
        except (Exception, SystemExit):  # The parsing of the whole config says what is wrong.
            return None


def _are_of_cycles(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all callbacks have a part in the cycles, and no two are of one class, which a Trainer might refuse."""
    classes = [class_at(one["class_path"]) for one in entries]
    return None not in map(kind_of, classes) and len(set(classes)) == len(classes)


def _made(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Config], list[Callback]]:
    """Parse and make callbacks. Return them with every default, and as objects, both in the order of a config."""
    given = with_sections({"trainer": {"callbacks": [dict(one) for one in entries]}})
    refuse_values(given)
    parser = _parser()
    parsed = parser.parse_object({key: one for key, one in given.items() if one is not None})
    refuse_calls(parsed)
    listed = with_list(yaml.safe_load(parser.dump(parsed, skip_validation=True)) or {})["trainer"]["callbacks"]
    ready = parser.instantiate_classes(parsed)
    others = ready.get("trainer.callbacks") or []
    return listed, [*callbacks_of({name: ready.get(name) for name in SECTIONS}, False), *others]


@cache
def _parser() -> LightningArgumentParser:
    """A parser that knows only the callbacks of ``lightning-prune fit``."""
    silence()
    parser = LightningArgumentParser(exit_on_error=False)
    add_sections(parser)
    parser.add_argument("--trainer.callbacks", type=signature(Trainer.__init__).parameters["callbacks"].annotation)
    return parser
