"""Files of tensors with a header in JSON, and a checksum that tells whether they have changed since."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lightning_prune.basics.file_formats import refuse_format
from lightning_prune.basics.saved_state import find_mistake
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole


@dataclass(frozen=True)
class Sealed:
    """The content of a file.

    Args:
        header: The header, plain values by name.
        tensors: The tensors by name, on the CPU.
        is_whole: Whether the content is that which was written. None if the file has no checksum.
    """

    header: dict[str, Any]
    tensors: dict[str, Tensor]
    is_whole: bool | None


def write_sealed(path: str | Path, key: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        key: The name that the header has in the file.
        header: Plain values.
        tensors: Contiguous tensors on the CPU, by name.
    """
    text = json.dumps(header)
    # Not `save_file`: nobody but its owner could read that file.
    write_whole(Path(path), save(dict(tensors), metadata={key: text, "checksum": checksum(text, tensors)}))


def read_sealed(path: str | Path, key: str, said: str, kind: str, refusal: str) -> Sealed:
    """Read a file.

    Args:
        path: The file.
        key: The name that the header has in the file.
        said: The call that asks for the file, for errors: ``"load_ticket('a.safetensors')"``.
        kind: The kind of file, for errors: ``"a ticket"``.
        refusal: The message for a file of another kind.

    Raises:
        UserError: If there is no file, or it is of another kind.
    """
    if not Path(path).is_file():
        raise UserError(f"{said} is {'a folder' if Path(path).is_dir() else 'no file'}: give the file of {kind}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Early versions sort no names. Without a copy, the tensors would change with the file.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
        header = json.loads(metadata[key])
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise UserError(refusal) from error
    if not isinstance(header, dict):
        raise UserError(refusal)
    written = metadata.get("checksum")
    return Sealed(header, tensors, None if written is None else written == checksum(metadata[key], tensors))


def read_checked(
    path: str | Path, key: str, said: str, kind: str, refusal: str, version: int, kinds: Mapping[str, Any]
) -> Sealed:
    """Read a file, and refuse one whose content has changed, or has another form than this version writes.

    Args:
        path: The file.
        key: The name that the header has in the file.
        said: The call that asks for the file, for errors.
        kind: The kind of file, for errors.
        refusal: The message for a file of another kind.
        version: The newest version of the format that is known.
        kinds: The kinds of the values of the header, as ``find_mistake`` takes them.

    Raises:
        UserError: If there is no file, it is of another kind or of a later version, or it is damaged.
    """
    found = read_sealed(path, key, said, kind, refusal)
    refuse_format(found.header.get("format"), version, said)
    if not found.is_whole:
        raise UserError(f"{said} is damaged: its content has changed since it was written. Write it again.")
    if wrong := find_mistake(found.header, kinds, ""):
        raise UserError(f"{said} is damaged: in its header {wrong}. Write it again.")
    return found


def refuse_other_values(state: Mapping[str, Any], network: str, asker: str) -> None:
    """Refuse a state that holds more than tensors.

    Args:
        state: The state of a network.
        network: The name of its class.
        asker: The call that asks, for errors.

    Raises:
        UserError: If a value is no tensor.
    """
    for name, one in state.items():
        if not isinstance(one, Tensor):
            raise UserError(
                f"{asker} keeps tensors only, and {name} of {network} is a {type(one).__name__}: leave it out of "
                "get_extra_state, or save the state yourself."
            )


def shared_tensors(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Find tensors that are the same as an earlier one, such as tied weights.

    Args:
        state: Tensors by name.

    Returns:
        The name of the earlier one by the name of the later one.

    Example:
        >>> tied = torch.ones(2)
        >>> shared_tensors({"embedding": tied, "bias": torch.ones(2), "head": tied})
        {'head': 'embedding'}
    """
    first: dict[object, str] = {}
    same: dict[str, str] = {}
    for name, one in state.items():
        earlier = first.setdefault((one.data_ptr(), one.dtype, one.shape, one.stride()), name)
        if earlier != name and one.numel():
            same[name] = earlier
    return same


def checksum(header: str, tensors: Mapping[str, Tensor]) -> str:
    """A hash of the header and of the names, types, shapes and bytes of the tensors."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
