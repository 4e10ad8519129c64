"""Load YAML documents that stay small. With aliases of aliases, ten lines can stand for a billion values."""

from math import inf
from pathlib import Path
from typing import Any

import yaml

from lightning_prune.basics.user_error import UserError

# The most values of a document in which every alias is written out. The largest config of this project has 300.
MOST = 100_000


class TooLarge(UserError):
    """Raised for a document whose aliases stand for more values than any config needs."""


def load(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    r"""Load a YAML document, unless its aliases stand for too many values.

    Args:
        text: The document.
        loader: The class that makes values of the document.

    Raises:
        yaml.YAMLError: If the document is no YAML.
        TooLarge: If the document has more than 100,000 values once its aliases are written out, or is nested too
            deeply.

    Example:
        >>> load("a: &rate 0.1\nb: [*rate, *rate]")
        {'a': 0.1, 'b': [0.1, 0.1]}
        >>> bomb = "0: &a0 [1, 1]\n" + "\n".join(f"{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 20))
        >>> load(bomb)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.lab.cli.documents.TooLarge: its aliases (`*name`) come to more than 100,000 values. ...
    """
    reading = loader(text)
    try:
        node = reading.get_single_node()
        if node is None:
            return None
        known: dict[int, float] = {}
        if values_in(node, known) > max(MOST, len(known)):
            raise TooLarge(
                f"its aliases (`*name`) come to more than {MOST:,} values. Write out what is meant, without aliases of "
                "aliases."
            )
        return reading.construct_document(node)
    except RecursionError as error:
        raise TooLarge("it is nested too deeply. No config needs that.") from error
    finally:
        reading.dispose()


def read_config(path: Path, option: str) -> dict[str, Any]:
    """Read the config of a run.

    Args:
        path: A file that exists.
        option: The option that names the file, for errors.

    Raises:
        UserError: If the file is no YAML, holds no sections, or is too large or nested too deeply.
    """
    try:
        content = load(path.read_text(encoding="utf-8"))
    except TooLarge as error:
        raise UserError(f"`{option} {path}`: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"`{option} {path}` is no YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"`{option} {path}` is no config: it holds {type(content).__name__}, and no sections.")
    return content


def values_in(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the values of a document, with its aliases written out.

    Args:
        node: The document, or a part of it.
        known: The counts of parts, by identity. New counts are added, so that each part is counted once.

    Returns:
        The number. Infinity for a part that holds itself.
    """
    if id(node) not in known:
        known[id(node)] = inf
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(values_in(one, known) for one in inner)
    return known[id(node)]
