"""Import the public names of a package when they are asked for, so that a command that needs none starts at once."""

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from lightning_prune.basics.extras import needs_extra


def late_names(package: str, places: Mapping[str, str], extra: str | None = None) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package whose names are imported when they are asked for (PEP 562).

    Args:
        package: The dotted path of the package.
        places: From a name to the module below the package that has it.
        extra: The extra for pip, which an error about a missing module names. None: the modules need no extra.

    Returns:
        A function from a name to its value. It knows the names of ``places`` and the modules of the package.

    Example:
        >>> look_up = late_names("json", {"JSONDecoder": "decoder"})
        >>> look_up("JSONDecoder"), look_up("tool").__name__
        (<class 'json.decoder.JSONDecoder'>, 'json.tool')
        >>> look_up("yaml")
        Traceback (most recent call last):
        AttributeError: module 'json' has no attribute 'yaml'
    """

    def look_up(name: str) -> Any:
        if name in places:
            if extra is None:
                value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
            else:
                with needs_extra(package, extra):
                    value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
            setattr(sys.modules[package], name, value)  # the next time, Python finds it without us
            return value
        if (module := module_of(package, name)) is not None:
            return module
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return look_up


def module_of(package: str, name: str) -> Any:
    """Import a module of a package. None if the package has no such module.

    Example:
        >>> module_of("json", "decoder").__name__, module_of("json", "__path__")
        ('json.decoder', None)
    """
    path = f"{package}.{name}"
    if path in sys.modules:  # also a module under its former name, which no file has
        return sys.modules[path]
    return None if name.startswith("_") or find_spec(path) is None else importlib.import_module(path)


def import_names(package: str) -> None:
    """Import all public names of a package now: jsonargparse finds a short name only if its class was imported.

    Args:
        package: The dotted path of a package with ``__all__``.

    Example:
        >>> import_names("lightning_prune")
    """
    module = importlib.import_module(package)
    for name in module.__all__:
        getattr(module, name)
