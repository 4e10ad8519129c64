"""Choose the defaults for a model, data and a log, before anything is parsed.

If the parser knew a default, its arguments would be passed to the class that replaces it. Therefore the parser gets a
default only for a section in which the user names no class.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from lightning_prune.basics.config_files import config_file, config_name, is_file
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.documents import TooLarge, load

MODEL = {"class_path": "lightning_prune.lab.Classifier"}
NETWORK = {"class_path": "lightning_prune.lab.LeNet300100", "init_args": {"inputs": 64}}
DATA = {"class_path": "lightning_prune.lab.Digits"}
LOGGER = {"class_path": "lightning_prune.lab.runs.run_folder.RunLogger"}

Tree = Mapping[str, Any]


def defaults_for(words: Sequence[str]) -> dict[str, Any]:
    """Choose the defaults that a command needs.

    Args:
        words: The command and its arguments.

    Returns:
        Model, data and logger by the parser's keys, without those for which the words or a config name a class.

    Example:
        >>> sorted(defaults_for(["fit", "--data=CIFAR10", "--model.label_smoothing=0.1"]))
        ['model', 'trainer.logger']
    """
    given = list(trees(words))
    network = {} if _is_named(given, "model.network") else {"init_args": {"network": NETWORK}}
    logger = {**LOGGER, **_named_after(words)}
    defaults: dict[str, Any] = {"model": {**MODEL, **network}, "data": DATA, "trainer.logger": logger}
    return {key: value for key, value in defaults.items() if not _is_named(given, key)}


def _named_after(words: Sequence[str]) -> dict[str, Any]:
    """Let the run's folder have the name of the first config, for a config that names no folder."""
    given = next((value for key, value in options(words) if key in ("config", "c")), None)
    path = None if given is None else config_file(given)
    return {} if path is None else {"init_args": {"name": config_name(path)}}


def refuse_unknown_sections(words: Sequence[str], known: Iterable[str]) -> None:
    """Refuse a misspelled section that is empty. The parser overlooks such a section.

    Args:
        words: The command and its arguments.
        known: The parser's keys.

    Raises:
        ValueError: If a section is unknown.
    """
    sections = {key.split(".")[0] for key in known} | {"config", "fit", "validate", "test", "predict"}
    empty = [name for tree in configs(words) for name, content in tree.items() if not content]
    for section in empty:
        if section not in sections:
            advice = suggest(section, sections) or f" There are {', '.join(sorted(sections))}."
            raise UserError(f"There is no `{section}`.{advice}")


def trees(words: Sequence[str]) -> Iterator[Tree]:
    """Read all settings of the words, as nested mappings, one for each option and each config."""
    for tree in configs(words):
        yield tree
        yield from (tree[word] for word in words[:1] if isinstance(tree.get(word), Mapping))
    for key, value in options(words):
        content: Any = load_value(value) if key == "trainer" else value
        yield reduce(lambda inner, part: {part: inner}, reversed(key.removesuffix("+").split(".")), content)


def configs(words: Sequence[str]) -> Iterator[Tree]:
    """Read the configs that the words name. The parser later reports a config that cannot be read."""
    loaded = (load_value(value) for key, value in options(words) if key in ("config", "c"))
    return (tree for tree in loaded if isinstance(tree, Mapping))


def options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair options with their values.

    Example:
        >>> list(options(["fit", "--data", "Digits", "--data.batch_size=3"]))
        [('data', 'Digits'), ('data.batch_size', '3')]
    """
    for word, following in pairwise([*words, ""]):
        if word.startswith("-"):
            key, equals, value = word.lstrip("-").partition("=")
            yield key, value if equals else following


def load_value(text: str) -> Any:
    """Load the value of an option: a file, or YAML. None for what cannot be read, which the parser reports.

    Args:
        text: The path of a file, or YAML.

    Raises:
        ValueError: If the aliases of a document stand for too many values.
    """
    try:
        content = Path(text).read_text() if is_file(Path(text)) else text
    except (OSError, ValueError):
        return None
    try:
        return _loaded(content)
    except TooLarge as error:  # The parser would go on for hours.
        raise UserError(f"`{text if content != text else content[:40]}`: {error}") from error
    except (yaml.YAMLError, ValueError):
        return None


@lru_cache(maxsize=4)
def _loaded(text: str) -> Any:
    """Load a document once. A command looks at its config six times, and changes nothing in it."""
    return load(text)


def _is_named(given: Iterable[Tree], key: str) -> bool:
    return any(_names_class(tree, key.split(".")) for tree in given)


def _names_class(tree: Any, parts: Sequence[str]) -> bool:
    """Whether the place has a class, or anything other than arguments for a class."""
    for part in parts:
        if not isinstance(tree, Mapping):
            return False
        inner = tree.get("init_args")
        tree = inner if part not in tree and isinstance(inner, Mapping) else tree
        if part not in tree:
            return False
        tree = tree[part]
    return not isinstance(tree, Mapping) or "class_path" in tree
