"""Run a network in ONNX Runtime, from a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from lightning_prune.deployment.profiling.runtimes.exported_network import arrays_of, exported
from lightning_prune.shrinking.quiet_calls import Call

if TYPE_CHECKING:
    from lightning_prune.deployment.profiling.runtimes.known import Ready


@contextmanager
def prepared(module: nn.Module, call: Call) -> "Iterator[Ready]":
    """Write the network into a file.

    Args:
        module: The network.
        call: Shows what the network is given.
    """
    with exported(module, call, "onnx") as path:
        yield partial(_session, path)


@contextmanager
def _session(path: Path, call: Call, threads: int) -> Iterator[Callable[[], object]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = dict(zip((one.name for one in session.get_inputs()), arrays_of(call), strict=True))
    yield partial(session.run, None, given)
