"""Turn what a parser says before it exits into an error that names the arm."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_prune.basics.user_error import UserError


@contextmanager
def named_errors(owner: str) -> Iterator[None]:
    """Name the arm in the errors of a parser, and of the classes that a config names.

    Args:
        owner: The arm's name for errors.

    Raises:
        UserError: If the parser exits, or if anything else fails.
    """
    said = StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit:
        text = said.getvalue().split("error: ", 1)[-1].split("\nEvery option is", 1)[0]
        message = " ".join(text.split())[:600] or "it cannot be parsed."
        raise UserError(f"{owner}: {message}") from None  # a hundred lines of the parser would say no more
    except Exception as error:  # From the user's class, or from a class that checks its arguments.
        raise UserError(f"{owner}: {_first_cause(error)}") from error


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split())
    return said if isinstance(error, ValueError | MisconfigurationException) else f"{type(error).__name__}: {said}"
