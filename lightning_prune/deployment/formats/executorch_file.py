"""``executorch``: for phones and other small devices, computed by XNNPACK where that can."""

from pathlib import Path

from lightning_prune.deployment.formats.exported_program import silenced, traced_program
from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    with silenced():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        # Memory is planned for the largest batch. A program that was traced on a smaller one may take no more than 15.
        program = traced_program(ready, wishes, rows=wishes.largest_batch, bounded=True)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    with path.open("wb") as file:
        lowered.write_to_file(file)


def _open(path: Path, ready: ReadyNetwork) -> Run:
    with silenced():
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(path).load_method("forward")
    if method is None:
        raise RuntimeError("the program has no forward")
    return lambda number: [one.clone() for one in method.execute(ready.samples.tensors(number))]


FORMAT = FileFormat(
    "model.pte",
    "the Python runtime of executorch",
    _write,
    _open,
    ("executorch",),
    "executorch",
    takes=("batch", "largest_batch"),
)
