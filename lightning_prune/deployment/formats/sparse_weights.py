"""``sparse``: one bit for each weight and the values that are not zero, for ``load_sparse``."""

from pathlib import Path

from lightning_prune.deployment.formats.file_format import FileFormat, Run, Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork
from lightning_prune.deployment.sparse_file import load_sparse, save_sparse
from lightning_prune.shrinking.regrowth import grow_


def _write(ready: ReadyNetwork, path: Path, wishes: Wishes) -> None:
    grow_(ready.network)  # a small one of load_small or Shrink(at="cycles"): zeros take one bit each
    save_sparse(ready.network, path, half_values=wishes.half_values)


def _open(path: Path, ready: ReadyNetwork) -> Run:
    ready.forget_weights_()
    load_sparse(path, ready.network)
    return ready.returned


FORMAT = FileFormat(
    "model.sparse.safetensors",
    "load_sparse",
    _write,
    _open,
    takes=("half_values",),
    weights_only=True,
    whole=True,  # with its dead units, so that it loads into the user's own network
)
