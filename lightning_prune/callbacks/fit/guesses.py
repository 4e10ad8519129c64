"""Refuse wrong arguments of ``IterativePruning``, and say what was probably meant."""

import inspect
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from lightning_prune import allocation, criteria, schedules
from lightning_prune.basics.nearest import nearest
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.settings.described import describe

_EXAMPLES = {
    "sparsity": "lightning_prune.Geometric(fraction=0.2)",
    "criterion": "lightning_prune.magnitude",
    "allocation": "lightning_prune.globally",
    "prunable": "lightning_prune.Prunable()",
}
_MODULES: Mapping[str, ModuleType] = {"sparsity": schedules, "criterion": criteria, "allocation": allocation}
_CALLED_WITH = {
    "sparsity": ("cycle",),
    "criterion": ("weight", "evidence"),
    "allocation": ("scores", "density"),
    "prunable": ("module",),
}


def refuse_guess(name: str, given: object) -> None:
    """Refuse an object that ``IterativePruning`` cannot call as it calls this argument.

    Args:
        name: The argument: ``"sparsity"``, ``"criterion"``, ``"allocation"`` or ``"prunable"``.
        given: What it was given.

    Raises:
        ValueError: If it is a number, a name, a list or a class, or a function of other arguments. The error says what
            to give.
    """
    written = given.__name__ if isinstance(given, type) else describe(given) if callable(given) else repr(given)
    argument = f"IterativePruning({name}={written})"
    if isinstance(given, type):
        raise UserError(f"{argument} is the class: give an object of it, {given.__name__}{_brackets(given)}.")
    if not callable(given):
        raise UserError(f"{argument} is not callable: give {_written(name, given)}, not a {_kind(given)}.")
    takes = _CALLED_WITH[name]
    if not _can_be_called(given, len(takes)):
        raise UserError(
            f"{argument} cannot be called with {' and '.join(takes)}: give {_EXAMPLES[name]}, or a function of "
            f"({', '.join(takes)})."
        )


def meant(name: str, given: object) -> tuple[str, dict[str, Any] | None] | None:
    """Guess what was probably meant.

    Args:
        name: The argument: ``"sparsity"``, ``"criterion"``, ``"allocation"`` or ``"prunable"``.
        given: What it was given.

    Returns:
        The path of a function and None, or the path of a class and the arguments to give. ``...`` stands for arguments
        that only the user knows. None if there is no guess.

    Example:
        >>> meant("sparsity", 80)
        ('lightning_prune.OneShot', {'final': 0.8})
        >>> meant("allocation", "layer_wise")
        ('lightning_prune.allocation.layerwise', None)
    """
    if name == "prunable":
        names = [given] if isinstance(given, str) else given
        is_names = isinstance(names, list | tuple) and names and all(isinstance(one, str) for one in names)
        return ("lightning_prune.Prunable", {"include": list(names)}) if is_names else None  # type: ignore[call-overload]
    if name == "sparsity" and isinstance(given, str) and (percent := re.fullmatch(r"([\d.]+) *%", given.strip())):
        return meant(name, float(percent[1]))
    if isinstance(given, str):
        return _nearest(_MODULES[name], given)
    if name == "sparsity" and isinstance(given, int | float) and 0 < given < 100:
        return "lightning_prune.OneShot", {"final": float(f"{float(given) if given < 1 else float(given) / 100:g}")}
    if name == "sparsity" and isinstance(given, list | tuple):
        return "lightning_prune.Levels", {"levels": list(given)}
    return None


def _written(name: str, given: object) -> str:
    """Write the guess as Python code. Without a guess, write an example."""
    found = meant(name, given)
    if found is None:
        return _EXAMPLES[name]
    path, arguments = found
    values = [f"{key}={'...' if value is ... else repr(value)}" for key, value in (arguments or {}).items()]
    return path if arguments is None else f"{path}({', '.join(values)})"


def _nearest(module: ModuleType, given: str) -> tuple[str, dict[str, Any] | None] | None:
    names = {name.lower(): name for name, value in vars(module).items() if _is_choice(module, name, value)}
    found = nearest(given.lower().rpartition(".")[2].replace("_", ""), names)
    if found is None:
        return None
    value = getattr(module, names[found])
    arguments = dict.fromkeys(_needed(value), ...) if isinstance(value, type) else None
    return f"{module.__name__}.{names[found]}", arguments


def _is_choice(module: ModuleType, name: str, value: object) -> bool:
    """Whether a name of a module is a criterion, an allocation or a schedule, by how it is called."""
    if name.startswith("_") or inspect.isabstract(value):
        return False
    if isinstance(value, type):
        return issubclass(value, schedules.SparsitySchedule | criteria.Scorer) and value is not criteria.Scorer
    if not inspect.isfunction(value):
        return False
    return tuple(inspect.signature(value).parameters) in (*_CALLED_WITH.values(), ("units", "evidence"))


def _brackets(kind: type) -> str:
    """The arguments that a class needs, as they are written."""
    return f"({', '.join(f'{name}=...' for name in _needed(kind))})"


def _needed(kind: type) -> list[str]:
    parameters = inspect.signature(kind).parameters.values()
    return [one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]


def _kind(given: object) -> str:
    if isinstance(given, str):
        return "name"
    return "number" if isinstance(given, int | float) else type(given).__name__


def _can_be_called(function: object, count: int) -> bool:
    """Whether a function takes so many arguments. True if its signature is unknown."""
    try:
        inspect.signature(function).bind(*range(count))  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # written in C
        return True
    return True
