"""Run a network in OpenVINO, from a file, in float32."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lightning_prune.deployment.profiling.runtimes.exported_network import arrays_of, from_file
from lightning_prune.shrinking.quiet_calls import Call


@contextmanager
def _compiled(path: Path, call: Call, threads: int) -> Iterator[Callable[[], object]]:
    import openvino

    # One stream for a batch at a time, and float32 as the other runtimes have it.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    network = openvino.Core().compile_model(path, "CPU", hints)
    yield partial(network, arrays_of(call))


prepared = from_file("openvino", _compiled)
