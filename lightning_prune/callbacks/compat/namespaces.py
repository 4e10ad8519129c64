"""Find the classes of Lightning in both of its namespaces: ``lightning.pytorch`` and ``pytorch_lightning``.

The two packages hold the same code twice, and ``isinstance`` with a class of the one is false for objects of the other.
Nothing here imports a namespace: the user imports one, or both.
"""

import sys
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

_TWINS = {"lightning.pytorch": "pytorch_lightning", "lightning.fabric": "lightning_fabric"}
_JOINING: list[type] = []


def everywhere(cls: T) -> tuple[T, ...]:
    """List a class of Lightning, and the same class of the other namespace if that one is imported.

    Args:
        cls: A class of ``lightning.pytorch`` or ``lightning.fabric``.

    Returns:
        The classes, for ``isinstance``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> Trainer in everywhere(Trainer)
        True
    """
    twin = _twin_of(cls)
    return (cls,) if twin is None else (cls, twin)


def in_both_namespaces(cls: T) -> T:
    """Let the Trainer of either namespace take the objects of a class for callbacks. A decorator.

    A Trainer looks for a callback of its own namespace where it is given one callback without a list, and where it
    looks for checkpoints. :func:`join_namespaces` does the work, when callbacks are made.

    Args:
        cls: A class that inherits from one class of ``lightning.pytorch``.
    """
    _JOINING.append(cls)
    return cls


def join_namespaces() -> None:
    """Let the classes of :func:`in_both_namespaces` inherit from the other namespace, too, if it is imported."""
    for cls in _JOINING:
        for base in cls.__bases__:
            twin = _twin_of(base)
            if twin is not None and not issubclass(cls, twin):
                cls.__bases__ += (_hollow(twin),)


def _twin_of(cls: T) -> T | None:
    for ours, theirs in _TWINS.items():
        if f"{cls.__module__}.".startswith(f"{ours}."):
            module = sys.modules.get(theirs + cls.__module__[len(ours) :])
            found: T | None = getattr(module, cls.__qualname__, None)
            return found
    return None


def _hollow(cls: type) -> type:
    """A subclass that is not initialized: the class of ``lightning.pytorch`` comes first and holds the state."""

    def leave_out(self: Any, *_: Any, **__: Any) -> None:
        """Do nothing."""

    return type(cls.__name__, (cls,), {"__init__": leave_out, "__module__": cls.__module__})
