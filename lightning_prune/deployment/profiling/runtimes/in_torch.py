"""Run a network in torch, as it is, in eval mode and without gradients."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from lightning_prune.shrinking.quiet_calls import Call, quiet

if TYPE_CHECKING:
    from lightning_prune.deployment.profiling.runtimes.known import Ready


def prepared(module: nn.Module, call: Call) -> "AbstractContextManager[Ready]":
    """Nothing has to be made ready."""
    return nullcontext(partial(in_torch, module))


@contextmanager
def in_torch(module: nn.Module, call: Call, threads: int) -> Iterator[Callable[[], object]]:
    """Make a network ready to be timed. What this changes is put back when the context is left.

    Args:
        module: The network.
        call: Runs it on an example.
        threads: The number of threads that an operation may use.

    Returns:
        A function that runs the network. On a GPU it waits until the result is there.
    """
    cudnn = torch.backends.cudnn
    flags = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")}
    with ExitStack() as undo:
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        undo.enter_context(quiet(module, call, training=False))
        undo.enter_context(cudnn.flags(**flags))  # the user's own: those for comparisons are slower
        yield partial(_finished, call) if any(one.is_cuda for one in module.parameters()) else call


def _finished(call: Call) -> None:
    call()
    torch.cuda.synchronize()
