"""Turn the config of a study, given as a YAML file or in Python, into values that a YAML file can hold."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from re import compile as pattern
from typing import Any

import yaml

from lightning_prune.basics.config_files import require_config
from lightning_prune.basics.dotted_paths import dotted
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.documents import TooLarge, load


def plain(value: Any, where: str) -> Any:
    """Write functions and classes as dotted paths, and refuse values that no config can hold.

    Args:
        value: A config, or a part of one.
        where: The key under which the value stands, for the error.

    Raises:
        ValueError: If the value holds an object, a lambda, or a function that is defined inside a function.

    Example:
        >>> from lightning_prune.criteria import magnitude
        >>> plain({"criterion": magnitude, "lr": (0.1,)}, "")
        {'criterion': 'lightning_prune.criteria.magnitude', 'lr': [0.1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{where}.{key}" if where else str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, f"{where}.{index}") for index, one in enumerate(value)]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Path):
        return str(value)
    if callable(value) and "<" not in getattr(value, "__qualname__", "<"):
        return dotted(value)
    if callable(getattr(value, "item", None)) and getattr(value, "size", 0) == 1:  # A number of numpy.
        return value.item()
    raise UserError(
        f"Ablation({where}) is {value!r}, which no config can hold. Give numbers, text, lists, or class_path and "
        "init_args."
    )


def read_yaml(path: Path, owner: str) -> dict[str, Any]:
    """Read a YAML file. Unlike in the standard, no key may occur twice, and ``1e-3`` is a number.

    Args:
        path: The file.
        owner: The argument that names the file, for errors.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is no YAML, holds no keys, or holds a key twice. If its aliases stand for too many
            values.
    """
    require_config(f"{owner}: {path}", path)
    try:
        content = load(path.read_text(), _Loader)  # _Loader is a SafeLoader.
    except TooLarge as error:
        raise UserError(f"{owner}: {path}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{owner}: {path} is no YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{owner}: {path} holds no keys.")
    return dict(content)


MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Load YAML as people write it. The standard lets the second of two equal keys win, and reads 1e-3 as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} stands there twice, in what begins at line {line}")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {key: list(found) for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", pattern(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
