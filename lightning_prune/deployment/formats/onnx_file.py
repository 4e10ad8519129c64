"""``onnx``: for ONNX Runtime, TensorRT and most other runtimes."""

from pathlib import Path
from typing import Any

import torch

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.formats.exported_program import shapes_of_batch, silenced, traced_program
from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork

_ONE_FILE = 2**31 - 2**24  # bytes: a file of ONNX holds 2 GB, of which the graph needs some


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    program = traced_program(ready, wishes)
    with silenced():
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=wishes.opset,
            dynamic_shapes=shapes_of_batch(ready, wishes),  # for the name of the dimension
            output_names=ready.output_names(),
            verbose=False,
        )
        size = sum(one.numel() * one.element_size() for one in program.state_dict.values())
        exported.save(path, external_data=size > _ONE_FILE)
    written = exported.model.opset_imports[""]
    if wishes.opset not in (None, written):  # torch warns, and goes on with its own choice
        raise UserError(
            f"export(opset={wishes.opset}): torch cannot write this network in these operators, and would write "
            f"opset={written}. Give that one, or leave it out."
        )


def _open(path: Path, ready: ReadyNetwork) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(number: int | None) -> object:
        arrays = [one.numpy() for one in ready.samples.tensors(number)]
        return [torch.as_tensor(one) for one in session.run(None, dict(zip(names, arrays, strict=True)))]

    return run


FORMAT = FileFormat(
    "model.onnx", "onnxruntime", _write, _open, ("onnx", "onnxscript", "onnxruntime"), "onnx", takes=("batch", "opset")
)
