"""Check that arguments are in range, with one form of error message."""


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
        ValueError: ConvNet(width=0): `width` must be at least 1.
    """
    if not holds:
        raise ValueError(f"{owner}({argument}={given!r}): `{argument}` must {expected}.")


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
        ValueError: ResNet(channels=0): `channels` must be at least 1.
    """
    for argument, value in given.items():
        require(value >= 1, owner, argument, value, "be at least 1")
