"""Small networks in files: tensors in safetensors and a record in JSON, without code and without pickle."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.sealed_file import read_checked, refuse_other_values, shared_tensors, write_sealed
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.regrowth import make_small_
from lightning_prune.shrinking.shrink_record import ShrinkRecord, find_wrong_indices, refuse_other_network
from lightning_prune.shrinking.small_checkpoints import shrink_like

CHECKPOINT = ".ckpt"
_WEIGHT, _KEPT, _ALIVE = "weights/", "kept/", "alive/"
_HEADER, _FORMAT = "shrunk", 1
_KINDS = {
    "shapes": {str: [int]},
    "kept": {str: {str: str}},
    "attributes": {str: {str: object}},
    "alive": [str],
    "masked": {str: str},
    "same": {str: str},
}
Net = TypeVar("Net", bound=nn.Module)


def is_small_file(path: str | Path) -> bool:
    """Whether a path names a file of this kind, by its ending.

    Example:
        >>> is_small_file("small.safetensors"), is_small_file("last.ckpt")
        (True, False)
    """
    return Path(path).suffix == ".safetensors"


def write_small(path: str | Path, module: nn.Module, record: ShrinkRecord) -> None:
    """Write a small network into a file.

    Args:
        path: The file. It is written whole or not at all.
        module: The small network.
        record: What was removed from it.

    Raises:
        ValueError: If the module has other sizes than the record says, or its state holds more than tensors.
    """
    asker = f"save('{path}')"
    refuse_other_network(module, record.small_shapes(), asker)
    state = {plain_name(name): one for name, one in module.state_dict().items()}
    refuse_other_values(state, type(module).__name__, asker)
    same = shared_tensors(state)
    sets: dict[bytes, str] = {}
    kept = {
        name: {str(dim): sets.setdefault(one.numpy().tobytes(), str(len(sets))) for dim, one in by.items()}
        for name, by in record.kept.items()
    }
    indices = {name: torch.frombuffer(bytearray(data), dtype=torch.int64) for data, name in sets.items()}
    tensors = {f"{_WEIGHT}{name}": one.detach().cpu().contiguous() for name, one in state.items() if name not in same}
    tensors |= {f"{_KEPT}{name}": one.to(torch.int32) for name, one in indices.items()}
    tensors |= {f"{_ALIVE}{name}": one.to(torch.uint8).contiguous() for name, one in record.alive.items()}
    header = {
        "format": _FORMAT,
        "network": type(module).__name__,
        "shapes": {name: list(shape) for name, shape in record.shapes.items()},
        "kept": kept,
        "attributes": record.attributes,
        "alive": list(record.alive),
        "masked": dict(record.masked),
        "same": same,
    }
    write_sealed(path, _HEADER, header, tensors)


def load_small(path: str | Path, module: Net) -> Net:
    """Make a network small as the one in a file, and load its weights. Nothing is traced, and no code is run.

    Args:
        path: A file that ``shrink(...).save`` wrote. Or a checkpoint (``.ckpt``) of a fit with
            ``Shrink(at="cycles")``, as for :func:`shrink_like`.
        module: A whole network of the same class and arguments as the one that was shrunk. It becomes small. Its
            precision, device and mode stay.

    Returns:
        The module.

    Raises:
        ValueError: If the file is damaged, or is no such file, or is of another network. After this error the module
            has not changed.

    Example:
        >>> from tempfile import mkdtemp
        >>> from lightning_prune import shrink
        >>> network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> small = shrink(network, alive={"0": torch.tensor([1, 0, 1])}, example=torch.rand(5, 4))
        >>> file = Path(mkdtemp()) / "small.safetensors"
        >>> small.save(file)
        >>> load_small(file, nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))[0].out_features
        2
    """
    if Path(path).suffix == CHECKPOINT:
        return shrink_like(module, path)
    asker = f"load_small('{path}')"
    if isinstance(module, type):
        name = module.__name__
        raise UserError(f"{asker} was given the class {name}: give a whole network, {name}(...), made as yours was.")
    record, weights = read_small(path)
    small = record.small_shapes()
    own = {plain_name(name) for name in module.state_dict()}
    if weights.keys() != own or any(tuple(one.shape) != small.get(name) for name, one in weights.items()):
        refuse_other_network(module, record.shapes, asker)
        raise UserError(f"{asker} is damaged: its weights and its record disagree. Write it again.")
    make_small_(module, record, asker)
    with torch.no_grad():
        for name, one in module.state_dict().items():
            one.copy_(weights[plain_name(name)])
    return module


def read_small(path: str | Path) -> tuple[ShrinkRecord, dict[str, Tensor]]:
    """Read the record and the weights of a small network.

    Args:
        path: A file that ``shrink(...).save`` wrote.

    Returns:
        The record, and the weights by name, on the CPU.

    Raises:
        ValueError: If the file is damaged, or is no such file.
    """
    said = f"load_small('{path}')"
    refusal = f"{said} is no small network: give a file that shrink(...).save or lightning-prune shrink wrote."
    found = read_checked(path, _HEADER, said, "a network", refusal, _FORMAT, _KINDS)
    try:
        record, weights = _record(found.header, found.tensors), _weights(found.header, found.tensors)
    except (KeyError, ValueError) as error:
        raise UserError(f"{said} is damaged: its record names {error}, which is not there. Write it again.") from error
    if wrong := find_wrong_indices(record):
        raise UserError(f"{said} is damaged: in its record {wrong}. Write it again.")
    kept = {name: {dim: one.long() for dim, one in by.items()} for name, by in record.kept.items()}
    return replace(record, kept=kept), weights


def _record(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ShrinkRecord:
    kept = {
        name: {int(dim): tensors[f"{_KEPT}{one}"] for dim, one in by.items()} for name, by in header["kept"].items()
    }
    shapes = {name: tuple(shape) for name, shape in header["shapes"].items()}
    alive = {name: tensors[f"{_ALIVE}{name}"] for name in header["alive"]}
    return ShrinkRecord(shapes, kept, header["attributes"], alive, header["masked"])


def _weights(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {name.removeprefix(_WEIGHT): one for name, one in tensors.items() if name.startswith(_WEIGHT)}
    return weights | {name: weights[other] for name, other in header["same"].items()}
