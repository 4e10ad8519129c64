"""Check what a config calls. It may call classes, and functions whose annotation says which class they make."""

import importlib
from collections.abc import Iterator, Mapping
from inspect import Signature, isclass, isfunction, ismethod, signature
from typing import Any

from jsonargparse import Namespace

from lightning_prune.basics.user_error import UserError

SIMPLE = ("None", "bool", "int", "float", "complex", "str", "bytes", "list", "dict", "tuple", "set", "Tensor", "Any")


def refuse_calls(config: Any) -> None:
    """Refuse a ``class_path`` that is no class. An argument of type ``Callable`` would call any function.

    A config remains code: the classes that it names are imported and made.

    Args:
        config: A parsed config. Functions that are named without ``class_path`` are not called, and are allowed.

    Raises:
        ValueError: If a ``class_path`` names neither a class nor a function whose annotation names a class.

    Example:
        >>> refuse_calls({"model": {"class_path": "torch.nn.Linear"}, "criterion": "os.system"})
        >>> refuse_calls({"criterion": {"class_path": "os.system"}})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: `criterion`: class_path 'os.system' is no class, nor a function that says ...
    """
    for where, path in class_paths(config):
        if not _makes_an_object(_found_at(path)):
            raise UserError(
                f"`{where}`: class_path {path!r} is no class, nor a function that says which class it makes. Give a "
                "class, or annotate what the function returns. A function that is to be called later is given by its "
                f"name alone: `{path}`."
            )


def class_paths(config: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield every ``class_path`` in a config, with its place.

    Example:
        >>> list(class_paths({"a": [{"class_path": "mine.Net"}]}))
        [('a.0', 'mine.Net')]
    """
    content = vars(config) if isinstance(config, Namespace) else config
    if isinstance(content, Mapping) and isinstance(content.get("class_path"), str):
        yield where, content["class_path"]
    named = content.items() if isinstance(content, Mapping) else ()
    numbered = enumerate(content) if isinstance(content, list | tuple) else ()
    for key, value in (*named, *numbered):
        yield from class_paths(value, f"{where}.{key}" if where else str(key))


def _found_at(path: str) -> Any:
    """Find the object of a path, such as a class, or a method of a class. None if there is nothing."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            found = getattr(found, name, None)
        return found
    return None


def _makes_an_object(found: Any) -> bool:
    if isclass(found):
        return True
    if not (isfunction(found) or ismethod(found)):
        return False
    made = signature(found).return_annotation
    return made is not Signature.empty and _name(made) not in SIMPLE


def _name(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.partition("[")[0].rpartition(".")[2]
