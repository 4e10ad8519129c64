"""Hash the content of a function. The hash tells lambdas and closures apart, and is the same in every process."""

import hashlib
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any


def hash_of(function: FunctionType, describe: Callable[[Any], Any]) -> str:
    """Hash a function: its instructions, the names and constants in them, its defaults, and what it closes over.

    What global names stand for is not looked at.

    Args:
        function: The function.
        describe: What writes a default, or a value that is closed over, as a plain one.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> hash_of(lambda w: w.abs(), repr) == hash_of(lambda w: w.neg(), repr)
        False
    """
    closed = [_inside(cell, function, describe) for cell in function.__closure__ or ()]
    defaults = [describe(one) for one in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())]
    content = repr((_instructions(function.__code__), list(function.__kwdefaults__ or ()), defaults, closed))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _instructions(code: CodeType) -> list[Any]:
    return [code.co_code.hex(), list(code.co_names), list(code.co_freevars), [_constant(one) for one in code.co_consts]]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):  # its repr has an address
        return _instructions(value)
    if isinstance(value, frozenset):  # its order is another one in every process
        return sorted(map(repr, value))
    return [_constant(one) for one in value] if isinstance(value, tuple) else repr(value)


def _inside(cell: CellType, function: FunctionType, describe: Callable[[Any], Any]) -> Any:
    try:
        value = cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None
    return "itself" if value is function else describe(value)
