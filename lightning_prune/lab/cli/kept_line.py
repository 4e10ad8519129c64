"""Keep what was parsed once, and make fresh objects from it with other seeds and another log folder."""

from collections.abc import Iterator, Mapping
from copy import copy, deepcopy
from typing import Any

from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.cli.sections import SECTIONS

Place = tuple[str | int, ...]
OBJECTS = ("trainer", "model", "datamodule", "config_init")
LOGGER = "lightning_prune.lab.runs.run_folder.RunLogger"


class KeptLine:
    """A command line after its parsing, without the objects that it made.

    Args:
        made: A command line that has made its objects. It stays as it is.
    """

    def __init__(self, made: CommandLine) -> None:
        self._line = copy(made)
        for name in OBJECTS:
            vars(self._line).pop(name, None)
        self._line.config = deepcopy(made.config)
        self._line._add_instantiators()  # The parser would else hold the network that was made, and its memory.

    def make(self, values: Mapping[Place, Any]) -> CommandLine:
        """Make trainer, model and data, as a new parsing would.

        Args:
            values: The values that differ, by their places. See :func:`free_values`.
        """
        line = copy(self._line)
        line.config, line.config_dump = deepcopy(self._line.config), deepcopy(self._line.config_dump)
        for place, value in values.items():
            _at(line.config, place[:-1])[place[-1]] = value
        line._add_instantiators()
        try:
            line._set_seed()
            line.before_instantiate_classes()
            line.instantiate_classes()
            line.after_instantiate_classes()
        finally:
            self._line._add_instantiators()
        return line


def free_values(config: Mapping[str, Any]) -> dict[Place, Any]:
    """Find the values that change from node to node and need no parsing: seeds, and the folder of this package's log.

    Args:
        config: A config with sections, whose callbacks and loggers are written in full.

    Returns:
        Whole numbers and texts by their places.

    Example:
        >>> clock = {"class_path": "mine.Clock", "init_args": {"seed": 4, "cycles": 2}}
        >>> free_values({"seed_everything": 3, "pruning": clock})
        {('seed_everything',): 3, ('pruning', 'init_args', 'seed'): 4}
    """
    found = {place: _value(config, place) for place in _places(config)}
    return {place: value for place, value in found.items() if type(value) in (int, str)}


def without(config: Mapping[str, Any], places: Mapping[Place, Any]) -> dict[str, Any]:
    """Copy a config without the values at some places.

    Args:
        config: The config.
        places: The places. Each must be there.
    """
    rest = deepcopy(dict(config))
    for place in places:
        _at(rest, place[:-1])[place[-1]] = None
    return rest


def are_parsed_alike(made: CommandLine, values: Mapping[Place, Any]) -> bool:
    """Whether the parser left these values as they were. A value that it changes has to be parsed.

    Args:
        made: The command line that parsed the values.
        values: The values by their places.
    """
    parsed = [_value(made.config, place) for place in values]
    return all(
        type(one) is type(other) and one == other for one, other in zip(parsed, values.values(), strict=True)
    ) and hasattr(made, "config_dump")


def _places(config: Mapping[str, Any]) -> Iterator[Place]:
    yield ("seed_everything",)
    for name in SECTIONS:
        yield (name, "init_args", "seed")
    trainer = config.get("trainer") or {}
    for number, _ in enumerate(trainer.get("callbacks") or []):
        yield ("trainer", "callbacks", number, "init_args", "seed")
    for number, one in enumerate(trainer.get("logger") or [] if isinstance(trainer.get("logger"), list) else []):
        if isinstance(one, Mapping) and one.get("class_path") == LOGGER:
            yield ("trainer", "logger", number, "init_args", "save_dir")
            yield ("trainer", "logger", number, "init_args", "version")


def _at(config: Any, place: Place) -> Any:
    for part in place:
        config = config[part]
    return config


def _value(config: Any, place: Place) -> Any:
    """The value at a place. None if there is none."""
    try:
        return _at(config, place)
    except (KeyError, TypeError, IndexError):
        return None
