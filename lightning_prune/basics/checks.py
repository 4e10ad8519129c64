"""Check that arguments are in range, with one form of error message for each check."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from lightning_prune.basics.user_error import UserError


def is_number(value: object) -> bool:
    """Tell a number, which can be compared, from a text, a truth value, None, NaN and the like.

    Numbers of numpy, and tensors without dimensions, are numbers, too.

    Example:
        >>> [is_number(value) for value in (0.1, 3, "0.1", True, None, float("nan"))]
        [True, True, False, False, False, False]
    """
    if isinstance(value, bool):
        return False
    holds_one = getattr(value, "shape", None) == () and hasattr(value, "__float__")
    return (isinstance(value, Real) or holds_one) and not math.isnan(float(value))  # type: ignore[arg-type]


def require(holds: bool, owner: str, argument: str, given: object, expected: str) -> None:
    """Refuse an argument that is out of range. The message says which values are allowed.

    Args:
        holds: Whether the argument is in range.
        owner: The class or function that received the argument.
        argument: The name of the argument.
        given: The value of the argument.
        expected: The allowed values, in words that follow "must".

    Raises:
        ValueError: If ``holds`` is false.

    Example:
        >>> require(8 > 0, "ConvNet", "width", 8, "be at least 1")
        >>> require(0 > 0, "ConvNet", "width", 0, "be at least 1")
        Traceback (most recent call last):
        lightning_prune.UserError: ConvNet(width=0): `width` must be at least 1.
    """
    if not holds:
        raise UserError(f"{owner}({argument}={given!r}): `{argument}` must {expected}.")


def require_positive(owner: str, **given: int) -> None:
    """Refuse numbers below 1, and what is no number.

    Args:
        owner: The class or function that received the arguments.
        **given: The arguments by name.

    Raises:
        ValueError: For the first argument that is below 1 or no number.

    Example:
        >>> require_positive("ResNet", classes=10, channels=0)
        Traceback (most recent call last):
        lightning_prune.UserError: ResNet(channels=0): `channels` must be at least 1.
    """
    for argument, value in given.items():
        require(is_number(value) and value >= 1, owner, argument, value, "be at least 1")


def check_at_least_one(owner: object, name: str, value: object) -> None:
    """Refuse a value that is not a whole number of at least 1.

    Args:
        owner: Who received the argument: an object, or the name of a class or function.
        name: Name of the argument.
        value: Its value.

    Raises:
        ValueError: If the value is not a whole number of at least 1.

    Example:
        >>> check_at_least_one("SynFlow", "rounds", 0.5)
        Traceback (most recent call last):
        lightning_prune.UserError: SynFlow(rounds=0.5) must be a whole number, at least 1.
    """
    holds = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
    _check(holds, owner, name, value, "must be a whole number, at least 1")


def check_numbers(owner: object, arguments: Mapping[str, float | None], none: bool = False) -> None:
    """Refuse arguments that are no numbers, before anything compares them.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.
        none: Whether None is allowed.

    Raises:
        ValueError: For the first value that is no number, such as a text, a truth value or NaN.

    Example:
        >>> check_numbers("FreezeLayers", {"fraction": "some"})
        Traceback (most recent call last):
        lightning_prune.UserError: FreezeLayers(fraction='some') is no number: give a number.
    """
    for name, value in arguments.items():
        give = "a number, or None" if none else "a number"
        _check(is_number(value) or (none and value is None), owner, name, value, f"is no number: give {give}")


def check_whole(owner: object, arguments: Mapping[str, int]) -> None:
    """Refuse arguments that are not whole numbers, such as a seed that is a text.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.

    Raises:
        ValueError: For the first value that is not a whole number.

    Example:
        >>> check_whole("RigL", {"seed": 0.5})
        Traceback (most recent call last):
        lightning_prune.UserError: RigL(seed=0.5) must be a whole number.
    """
    for name, value in arguments.items():
        _check(
            isinstance(value, Integral) and not isinstance(value, bool), owner, name, value, "must be a whole number"
        )


def check_at_least(owner: object, least: float, arguments: Mapping[str, float]) -> None:
    """Refuse arguments that are too small, and those that are no numbers.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        least: The smallest value that is welcome.
        arguments: Names and values.

    Raises:
        ValueError: For the first value that is smaller, or no number.
    """
    for name, value in arguments.items():
        _check_number(owner, name, value, lambda number: number >= least, f"must be at least {least}")


def check_positive(owner: object, arguments: Mapping[str, float | None], none: bool = False) -> None:
    """Refuse arguments that are not above zero, and those that are no numbers.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.
        none: Whether None is allowed.

    Raises:
        ValueError: For the first value that is zero, negative or no number.

    Example:
        >>> check_positive("OneCycleRetrain", {"start_div": 0.0})
        Traceback (most recent call last):
        lightning_prune.UserError: OneCycleRetrain(start_div=0.0) must be greater than 0.
        >>> check_positive("OneCycleRetrain", {"start_div": "high"})
        Traceback (most recent call last):
        lightning_prune.UserError: OneCycleRetrain(start_div='high') is no number: it must be greater than 0.
        >>> check_positive("FineTune", {"lr": None}, none=True)
    """
    for name, value in arguments.items():
        if not (none and value is None):
            _check_number(owner, name, value, lambda number: number > 0, "must be greater than 0")


def check_fraction(owner: object, arguments: Mapping[str, float]) -> None:
    """Refuse arguments that are not fractions of a cycle, such as texts.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.

    Raises:
        ValueError: For the first value outside [0, 1].
    """
    for name, value in arguments.items():
        _check(is_number(value) and 0 <= value <= 1, owner, name, value, "is a fraction of the cycle: give 0 to 1")


def _check_number(owner: object, name: str, value: Any, holds: Callable[[float], bool], said: str) -> None:
    """Check a number. A value that is none cannot be compared, and is refused before."""
    known = is_number(value)
    _check(known and holds(value), owner, name, value, said if known else f"is no number: it {said}")


def _check(holds: bool, owner: object, name: str, value: object, said: str) -> None:
    if not holds:
        raise UserError(f"{owner if isinstance(owner, str) else type(owner).__name__}({name}={value!r}) {said}.")
