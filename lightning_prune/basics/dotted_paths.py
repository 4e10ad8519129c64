"""Dotted paths: the name of a class or function as one would import it, and the object that a name stands for."""

import importlib
from dataclasses import fields
from typing import Any

from lightning_prune.basics.user_error import UserError


def dotted(thing: Any) -> str:
    """The path of a class or a function, as one would import it.

    Args:
        thing: What has a name of its own.

    Example:
        >>> from collections import OrderedDict
        >>> dotted(OrderedDict)
        'collections.OrderedDict'
    """
    return f"{getattr(thing, '__module__', '')}.{thing.__qualname__}"


def class_at(path: str) -> Any:
    """Import the object that a dotted path names.

    Args:
        path: A dotted path, such as ``"lightning_prune.FineTune"``.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If the module has no such name.
        ValueError: If the path has no dot.

    Example:
        >>> class_at("torch.optim.SGD").__name__
        'SGD'
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise UserError(f"{path!r} is no dotted path.")
    return getattr(importlib.import_module(module), name)


def call_of(value: Any) -> str:
    """Write a dataclass as it was called, the same in every process, so that a resumed run finds its settings again.

    The ``repr`` of a function has an address, which is another one in every process: functions have their dotted path.

    Args:
        value: The dataclass.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(repr=False)
        ... class Power:
        ...     base: object
        ...     exponent: float
        >>> call_of(Power(class_at, 2.0))
        'Power(base=lightning_prune.basics.dotted_paths.class_at, exponent=2.0)'
    """
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    written = {name: dotted(one) if hasattr(one, "__qualname__") else repr(one) for name, one in values.items()}
    return f"{type(value).__name__}({', '.join(f'{name}={one}' for name, one in written.items())})"
