"""The formats by their names. To add one, write its file and a line here."""

from lightning_prune.deployment.formats import (
    executorch_file,
    onnx_file,
    openvino_file,
    small_weights,
    sparse_weights,
    torch_program,
)
from lightning_prune.deployment.formats.file_format import FileFormat

FORMATS: dict[str, FileFormat] = {
    "onnx": onnx_file.FORMAT,
    "torch": torch_program.FORMAT,
    "openvino": openvino_file.FORMAT,
    "executorch": executorch_file.FORMAT,
    "safetensors": small_weights.FORMAT,
    "sparse": sparse_weights.FORMAT,
}
