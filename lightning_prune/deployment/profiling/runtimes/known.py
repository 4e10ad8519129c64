"""The runtimes by name. Each is imported when somebody asks for it."""

import importlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from torch import nn

from lightning_prune.basics.extras import needs_extra
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.quiet_calls import Call

# For a call and a number of threads, a context with a function that makes the call and waits for its result.
Ready = Callable[[Call, int], AbstractContextManager[Callable[[], object]]]
# Makes a network ready, for instance in a file. The call shows what the network is given.
Runtime = Callable[[nn.Module, Call], AbstractContextManager[Ready]]
RUNTIMES = {"torch": "", "onnxruntime": "onnx", "openvino": "openvino"}  # with the extra that installs each


def runtime_named(name: str) -> Runtime:
    """Find a runtime.

    Args:
        name: One of ``RUNTIMES``.
    """
    found: Runtime = importlib.import_module(f"{__package__}.in_{name}").prepared
    return found


def check_runtimes(given: Iterable[str], asker: str) -> None:
    """Refuse a runtime that nobody knows, or that is not installed.

    Args:
        given: Names of runtimes.
        asker: The call that asks, for errors.

    Raises:
        UserError: If one is unknown, or its library is missing. The message names the extra for pip.
    """
    for name in given:
        if name not in RUNTIMES:
            known = ", ".join(RUNTIMES)
            raise UserError(f"{asker}: there is no runtime {name!r}.{suggest(name, RUNTIMES)} There are {known}.")
        try:
            with needs_extra(f"{asker} with the runtime {name}", RUNTIMES[name]):
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(str(error)) from error
