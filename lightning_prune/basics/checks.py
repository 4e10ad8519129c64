"""Is an argument in range: one check, one form of message."""


def require(holds: bool, owner: str, argument: str, given: object, expected: str) -> None:
    """Refuse an argument that is out of range, in words that say what to give instead.

    Args:
        holds: Whether the argument is in range.
        owner: Class or function that received the argument.
        argument: Name of the argument.
        given: Its value.
        expected: What it must be, to follow the word "must".

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
    """Refuse any of the named whole numbers that is below 1.

    Args:
        owner: Class or function that received the arguments.
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
