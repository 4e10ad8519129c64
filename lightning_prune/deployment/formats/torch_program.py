"""``torch``: a program of ``torch.export``, for machines that have torch and not the user's code."""

from pathlib import Path

import torch

from lightning_prune.deployment.formats.exported_program import silenced, traced_program
from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    with silenced():
        torch.export.save(traced_program(ready, wishes), path)


def _open(path: Path, ready: ReadyNetwork) -> Run:
    with silenced():
        network = torch.export.load(path).module()

    def run(number: int | None) -> object:
        arguments = ready.samples.of(number)
        with torch.no_grad():
            return network(**arguments) if isinstance(arguments, dict) else network(*arguments)

    return run


FORMAT = FileFormat("model.pt2", "torch.export.load", _write, _open, takes=("batch",))
