"""``openvino``: for processors of Intel. The graph is in the .xml, and the weights are in the .bin beside it."""

from pathlib import Path

import torch

from lightning_prune.deployment.formats.exported_program import silenced, traced_program
from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    import openvino

    program = traced_program(ready, wishes)
    with silenced():
        model = openvino.convert_model(program)
        # The converter leaves all dimensions open, and only the batch is.
        shapes = [[-1 if size is None else size for size in one] for one in ready.samples.shapes(wishes.batch)]
        model.reshape({place: openvino.PartialShape(one) for place, one in enumerate(shapes)})
        openvino.save_model(model, path, compress_to_fp16=wishes.half_values)


def _open(path: Path, ready: ReadyNetwork) -> Run:
    import openvino

    # Without the hint, processors that can compute in bfloat16 do so, and errors of the file would not be seen.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(number: int | None) -> object:
        found = compiled([one.numpy() for one in ready.samples.tensors(number)])
        return [torch.from_numpy(found[place].copy()) for place in range(len(compiled.outputs))]

    return run


FORMAT = FileFormat("model.xml", "openvino", _write, _open, ("openvino",), "openvino", takes=("batch", "half_values"))
