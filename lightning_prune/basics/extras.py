"""Name the pip extra to install when an optional part of the package is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra(part: str, extra: str) -> Iterator[None]:
    """Name the extra to install if an import inside this context fails because a module is missing.

    Args:
        part: The part of the package that is imported inside the context.
        extra: The name of the extra for pip.

    Raises:
        ModuleNotFoundError: If a module of another package is missing.

    Example:
        >>> with needs_extra("lightning_prune.lab", "cli"):
        ...     import not_installed
        Traceback (most recent call last):
        ModuleNotFoundError: lightning_prune.lab needs not_installed: pip install 'lightning-prune[cli]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("lightning_prune"):
            raise
        raise ModuleNotFoundError(
            f"{part} needs {error.name}: pip install 'lightning-prune[{extra}]'", name=error.name
        ) from error
