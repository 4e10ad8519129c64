"""``safetensors``: the weights of the small network and what was removed, for ``load_small``."""

from pathlib import Path

import torch

from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.small_file import read_small, write_small


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    write_small(path, ready.network, ready.record)


def _open(path: Path, ready: ReadyNetwork) -> Run:
    _, weights = read_small(path)
    ready.forget_weights_()
    with torch.no_grad():
        for name, one in ready.network.state_dict().items():
            one.copy_(weights[plain_name(name)])
    return ready.returned


FORMAT = FileFormat("model.safetensors", "load_small", _write, _open, weights_only=True)
