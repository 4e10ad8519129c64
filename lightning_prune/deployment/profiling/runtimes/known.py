"""The runtimes by name. Each is imported when somebody asks for it."""

import importlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from torch import nn

from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.quiet_calls import Call

# Makes a network ready to be timed, with a number of threads: the context gives a function that runs it.
Runtime = Callable[[nn.Module, Call, int], AbstractContextManager[Callable[[], object]]]
RUNTIMES = ("torch",)


def runtime_named(name: str) -> Runtime:
    """Find a runtime.

    Args:
        name: One of ``RUNTIMES``.
    """
    module = importlib.import_module(f"{__package__}.in_{name}")
    found: Runtime = getattr(module, f"in_{name}")
    return found


def check_runtimes(given: Iterable[str], asker: str) -> None:
    """Refuse a runtime that nobody knows.

    Args:
        given: Names of runtimes.
        asker: The call that asks, for errors.

    Raises:
        UserError: If one is unknown.
    """
    for name in given:
        if name not in RUNTIMES:
            known = ", ".join(RUNTIMES)
            raise UserError(f"{asker}: there is no runtime {name!r}.{suggest(name, RUNTIMES)} There are {known}.")
