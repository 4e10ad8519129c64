"""Write the settings of a run as plain values."""

from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from numbers import Integral, Number
from typing import Any

from lightning_prune.basics.dotted_paths import dotted
from lightning_prune.callbacks.settings.function_content import hash_of


def describe(value: Any, depth: int = 0) -> Any:
    """Write a setting as a plain value: functions by their dotted path, other objects by their ``repr``.

    Functions without a name of their own (lambdas, closures) bear a hash of what they do.

    Args:
        value: The setting.
        depth: How many objects the value lies in. Below the fifth only the type is written.

    Example:
        >>> from lightning_prune.criteria import magnitude
        >>> describe(magnitude), describe(3)
        ('lightning_prune.criteria.magnitude', 3)
    """
    if isinstance(value, list | tuple):  # YAML knows lists only
        return [describe(one, depth) for one in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Number):  # numpy's own would not load with weights_only=True
        return int(value) if isinstance(value, Integral) else float(value)  # type: ignore[arg-type]
    if isinstance(value, partial):
        called = describe(value.func, depth), describe(value.args, depth), _held(value.keywords, depth)
        return f"partial({', '.join(map(str, called))})"
    if hasattr(value, "__qualname__"):
        return f"{dotted(value)}{_code(value, depth)}"
    if type(value).__module__.split(".")[0] == "jsonargparse":  # It holds the whole command line, the value included.
        return dotted(type(value))
    if _has_address(value):
        inner = _held(value if isinstance(value, dict) else getattr(value, "__dict__", {}), depth)
        return f"{dotted(type(value))}({inner})"
    return repr(value)


def _held(values: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    """What an object holds, without addresses."""
    if depth == 5:
        return {}
    return {name: describe(one, depth + 1) if _has_address(one) else one for name, one in values.items()}


def _has_address(value: Any) -> bool:
    """Whether a ``repr`` names an address, which is another one in every process."""
    return " at 0x" in repr(value)


def _code(function: Any, depth: int) -> str:
    """What tells functions without a name of their own apart."""
    if not hasattr(function, "__code__") or "<" not in function.__qualname__ or depth == 5:
        return ""
    return "#" + hash_of(function, lambda value: describe(value, depth + 1))


def describe_object(thing: object) -> str:
    """Write a callback as it was called, from the attributes that bear the names of its arguments.

    Example:
        >>> from lightning_prune import FineTune
        >>> describe_object(FineTune(lr=0.1))
        'FineTune(lr=0.1)'
    """
    former = getattr(thing, "former_arguments", ())
    names = [name for name in signature(type(thing)).parameters if name not in former]
    values = {name: describe(getattr(thing, name, None)) for name in names}
    return f"{type(thing).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def describe_call(thing: object, always: Sequence[str] = ()) -> str:
    """Write a callback as a user would make it: with the arguments that differ from their defaults.

    Args:
        thing: The callback, whose attributes bear the names of its arguments.
        always: Arguments to write in any case.

    Example:
        >>> from lightning_prune import IterativePruning, LRRewind, criteria
        >>> describe_call(IterativePruning(cycles=3, criterion=criteria.taylor))
        'IterativePruning(cycles=3, criterion=taylor)'
        >>> describe_call(LRRewind())
        'LRRewind()'
    """
    former = getattr(thing, "former_arguments", ())
    written = []
    for name, parameter in signature(type(thing)).parameters.items():
        given = getattr(thing, name, parameter.default)
        is_named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and name not in former
        if is_named and (name in always or describe(given) != describe(parameter.default)):
            written.append(f"{name}={given.__name__ if hasattr(given, '__qualname__') else repr(given)}")
    return f"{type(thing).__name__}({', '.join(written)})"
