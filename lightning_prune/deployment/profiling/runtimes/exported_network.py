"""Export a network for a while, to time the file."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_prune.deployment.export import check_format, export
from lightning_prune.shrinking.quiet_calls import Call

if TYPE_CHECKING:
    from lightning_prune.deployment.profiling.runtimes.known import Ready, Runtime

# For a file, a call and a number of threads, a context with a function that makes the call.
Opened = Callable[[Path, Call, int], AbstractContextManager[Callable[[], object]]]


@contextmanager
def exported(module: nn.Module, call: Call, name: str) -> Iterator[Path]:
    """Write a network into a file that is gone when the context is left.

    Args:
        module: The network. It is written as it is, with dead units.
        call: Shows what the network is given.
        name: The format.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / check_format(name).file_name
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="export\\(")  # the time is the same where the numbers are not
            export(module, path, name, example=call.inputs, shrink=False)
        yield path


def from_file(name: str, opened: Opened) -> "Runtime":
    """Make a runtime that opens the file of a network.

    Args:
        name: The format of the file.
        opened: Opens the file.
    """

    @contextmanager
    def prepared(module: nn.Module, call: Call) -> "Iterator[Ready]":
        with exported(module, call, name) as path:
            yield partial(opened, path)

    return prepared


def arrays_of(call: Call) -> list[Any]:
    """The inputs of a call as arrays of numpy, in the order of the arguments. Floating-point numbers are float32.

    Args:
        call: The call.
    """
    tensors = [one.detach().cpu() for one in tree_leaves(call.inputs) if isinstance(one, Tensor)]
    return [(one.float() if one.is_floating_point() else one).numpy() for one in tensors]
