"""Run a network in ONNX Runtime, from a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lightning_prune.deployment.profiling.runtimes.exported_network import arrays_of, from_file
from lightning_prune.shrinking.quiet_calls import Call


@contextmanager
def _session(path: Path, call: Call, threads: int) -> Iterator[Callable[[], object]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = dict(zip((one.name for one in session.get_inputs()), arrays_of(call), strict=True))
    yield partial(session.run, None, given)


prepared = from_file("onnx", _session)
