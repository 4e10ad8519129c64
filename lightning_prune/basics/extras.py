"""What an import says where an optional part of the package is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra(part: str, extra: str) -> Iterator[None]:
    """Name the extra that a part of the package needs, where a module is missing that comes with it.

    Args:
        part: The part that is imported within.
        extra: The extra, as pip knows it.

    Raises:
        ModuleNotFoundError: If a module of somebody else's is missing.

    Example:
        >>> with needs_extra("lightning_prune.lab", "lab"):
        ...     import not_installed
        Traceback (most recent call last):
        ModuleNotFoundError: lightning_prune.lab needs not_installed: pip install 'lightning-prune[lab]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("lightning_prune"):
            raise
        raise ModuleNotFoundError(
            f"{part} needs {error.name}: pip install 'lightning-prune[{extra}]'", name=error.name
        ) from error
