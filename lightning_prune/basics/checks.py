"""Check that arguments are in range, with one form of error message for each check."""

from collections.abc import Mapping

from lightning_prune.basics.user_error import UserError


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
    """Refuse whole numbers below 1.

    Args:
        owner: The class or function that received the arguments.
        **given: The arguments by name.

    Raises:
        ValueError: For the first argument that is below 1.

    Example:
        >>> require_positive("ResNet", classes=10, channels=0)
        Traceback (most recent call last):
        lightning_prune.UserError: ResNet(channels=0): `channels` must be at least 1.
    """
    for argument, value in given.items():
        require(value >= 1, owner, argument, value, "be at least 1")


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
    holds = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    _check(holds, owner, name, value, "must be a whole number, at least 1")


def check_at_least(owner: object, least: float, arguments: Mapping[str, float]) -> None:
    """Refuse arguments that are too small.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        least: The smallest value that is welcome.
        arguments: Names and values.

    Raises:
        ValueError: For the first value that is smaller, or NaN.
    """
    for name, value in arguments.items():
        _check(value >= least, owner, name, value, f"must be at least {least}")


def check_positive(owner: object, arguments: Mapping[str, float | None]) -> None:
    """Refuse arguments that are not above zero; None is left out.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.

    Raises:
        ValueError: For the first value that is zero, negative or NaN.

    Example:
        >>> check_positive("FineTune", {"lr": 0.0})
        Traceback (most recent call last):
        lightning_prune.UserError: FineTune(lr=0.0) must be greater than 0.
    """
    for name, value in arguments.items():
        _check(value is None or value > 0, owner, name, value, "must be greater than 0")


def check_fraction(owner: object, arguments: Mapping[str, float]) -> None:
    """Refuse arguments that are not fractions of a cycle.

    Args:
        owner: Who received them: an object, or the name of a class or function.
        arguments: Names and values.

    Raises:
        ValueError: For the first value outside [0, 1].
    """
    for name, value in arguments.items():
        _check(0 <= value <= 1, owner, name, value, "is a fraction of the cycle: give 0 to 1")


def _check(holds: bool, owner: object, name: str, value: object, said: str) -> None:
    if not holds:
        raise UserError(f"{owner if isinstance(owner, str) else type(owner).__name__}({name}={value!r}) {said}.")
