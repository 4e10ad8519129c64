"""Refuse what a user gave: the command line shows the message of a ``UserError``, and the traceback of other errors."""


class UserError(ValueError):
    """The user gave something wrong, and the message says what to give. It is a ``ValueError``.

    The package raises this error for wrong input only. A fault in the package is any other error.

    Example:
        >>> import lightning_prune
        >>> try:
        ...     lightning_prune.Geometric(fraction=1.5)
        ... except ValueError as error:
        ...     print(repr(error))
        UserError('Geometric(fraction=1.5) must lie strictly between 0 and 1, for instance 0.2.')
    """

    __module__ = "lightning_prune"  # where users find it, and what a traceback shows


class OutOfReach(UserError):
    """A network cannot be pruned as far as the user asked for.

    Args:
        message: The message.
        density: The fraction that is to be left.
        least: The fraction that is left at least.
    """

    __module__ = "lightning_prune.basics.user_error"

    def __init__(self, message: str, density: float = 0.0, least: float = 0.0) -> None:
        super().__init__(message)  # the others have defaults, so that it can be pickled
        self.density = density
        self.least = least


class NothingThere(UserError, FileNotFoundError):
    """The user named a file or a folder that does not exist. It is a ``FileNotFoundError``, too."""

    __module__ = "lightning_prune.basics.user_error"
