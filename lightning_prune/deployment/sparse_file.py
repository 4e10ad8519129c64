"""Sparse files: one bit for each weight and the living values, in safetensors, without code and without pickle.

The header lists the tensors. A tensor ``dense/<name>`` is stored as it is. Of a
sparse tensor, ``bits/<name>`` says which weights live, the first weight in the
lowest bit of the first byte, and ``values/<name>`` holds the living weights in
their order. docs/deployment/zeros.md has a loader of ten lines that needs only safetensors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.masks.sealed_file import read_checked, refuse_other_values, shared_tensors, write_sealed
from lightning_prune.selection.parameters import plain_name

_DENSE, _BITS, _VALUES = "dense/", "bits/", "values/"
_HEADER, _FORMAT = "sparse", 1
_KINDS = {"dense": [str], "shapes": {str: [int]}, "same": {str: str}}
_WIDE = (torch.float32, torch.float64)
Net = TypeVar("Net", bound=nn.Module)


def save_sparse(module: nn.Module, path: str | Path, *, half_values: bool = False) -> Path:
    """Write a pruned network into a file that has no room for zeros.

    A tensor is stored as one bit for each weight and the values that are not zero, if this takes fewer bytes than the
    tensor itself. All other tensors and all buffers are stored as they are. At 90 % sparsity the file has 1/7.5 of the
    size of the dense file. The numbers come back bit for bit. Only the sign of a zero is lost: -0.0 comes back as 0.0.

    Args:
        module: The network. Its dead weights are zero, as after a fit with ``IterativePruning``.
        path: The file to write, such as ``"network.sparse.safetensors"``. It is written whole or not at all.
        half_values: Round the parameters to float16. The file is smaller, and the numbers are no longer exact.

    Returns:
        The path.

    Raises:
        ValueError: If the state of the network holds more than tensors, or a parameter is too large for float16.

    Example:
        >>> from tempfile import mkdtemp
        >>> network = nn.Linear(1000, 100, bias=False)
        >>> _ = network.weight.data.mul_(torch.rand(100, 1000) < 0.1)
        >>> file = save_sparse(network, Path(mkdtemp()) / "network.safetensors")
        >>> 400_000 / file.stat().st_size > 7
        True
        >>> torch.equal(load_sparse(file, nn.Linear(1000, 100, bias=False)).weight, network.weight)
        True
    """
    asker = f"save_sparse('{path}')"
    state = _state_of(module, asker)
    same = shared_tensors(state)  # before the copies to the CPU, which share nothing
    parameters = {plain_name(name) for name, _ in module.named_parameters(remove_duplicate=False)}
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, tensor in state.items():
        if name in same:
            continue
        halved = half_values and name in parameters and tensor.dtype in _WIDE
        one = _halved(name, tensor.cpu(), asker) if halved else tensor.cpu()
        alive = one != 0
        if _packs(one, alive):
            tensors |= {f"{_BITS}{name}": pack_bits(alive.to(torch.uint8)), f"{_VALUES}{name}": one[alive]}
            shapes[name] = list(one.shape)
        else:
            tensors[f"{_DENSE}{name}"] = one.contiguous()
    dense = [name.removeprefix(_DENSE) for name in tensors if name.startswith(_DENSE)]
    header = {"format": _FORMAT, "network": type(module).__name__, "dense": dense, "shapes": shapes, "same": same}
    write_sealed(path, _HEADER, header, tensors)
    return Path(path)


def load_sparse(path: str | Path, module: Net) -> Net:
    """Load the weights of a sparse file into a network.

    Args:
        path: A file that :func:`save_sparse` wrote.
        module: A network of the same shapes. Its precision, device and mode stay.

    Returns:
        The module.

    Raises:
        ValueError: If the file is damaged, or is no such file, or is of another network. After this error the module
            has not changed.

    Example:
        >>> from tempfile import mkdtemp
        >>> network = nn.Linear(2, 1)
        >>> file = save_sparse(network, Path(mkdtemp()) / "network.safetensors")
        >>> torch.equal(load_sparse(file, nn.Linear(2, 1)).weight, network.weight)
        True
    """
    weights = read_sparse(path)
    own = {plain_name(name): one for name, one in module.state_dict().items()}
    wrong = [
        name
        for name in dict.fromkeys([*own, *weights])
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"load_sparse('{path}') is of another network than this {type(module).__name__}: {', '.join(wrong[:3])}"
            f"{more} is missing or of another shape on one side. Give a network with the sizes of the one that was "
            "saved. A network that was shrunk has to be shrunk first: load_small(...)."
        )
    with torch.no_grad():
        for name, one in own.items():
            one.copy_(weights[name])
    return module


def read_sparse(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a sparse file.

    Args:
        path: A file that :func:`save_sparse` wrote.

    Returns:
        The dense tensors by name, on the CPU.

    Raises:
        ValueError: If the file is damaged, or is no such file.
    """
    said = f"load_sparse('{path}')"
    refusal = f"{said} is no sparse file: give a file that save_sparse or lightning-prune export wrote."
    found = read_checked(path, _HEADER, said, "a sparse network", refusal, _FORMAT, _KINDS)
    try:
        return _weights(found.header, found.tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{said} is damaged: its header and its tensors disagree ({error}). Write it again.") from error


def _weights(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {name: tensors[f"{_DENSE}{name}"] for name in header["dense"]}
    for name, shape in header["shapes"].items():
        alive = unpack_bits(tensors[f"{_BITS}{name}"], torch.Size(shape)).bool()
        values = tensors[f"{_VALUES}{name}"]
        if not values.is_floating_point():
            raise UserError(f"the values of {name!r} are {values.dtype}, and no floating-point numbers")
        weights[name] = torch.zeros(alive.shape, dtype=values.dtype)
        weights[name][alive] = values
    return weights | {name: weights[other] for name, other in header["same"].items()}


def _state_of(module: nn.Module, asker: str) -> dict[str, Tensor]:
    state = {plain_name(name): one for name, one in module.state_dict().items()}
    refuse_other_values(state, type(module).__name__, asker)
    for name, one in state.items():
        if type(one) not in (Tensor, nn.Parameter) or one.layout is not torch.strided:
            raise UserError(
                f"{asker} keeps plain tensors, and {name} of {type(module).__name__} is a {type(one).__name__} of "
                f"layout {one.layout}: call undo() of what to_csr or to_semi_structured returned, or gather sharded "
                "weights."
            )
    return {name: one.detach() for name, one in state.items()}


def _halved(name: str, tensor: Tensor, asker: str) -> Tensor:
    half = tensor.half()
    if bool((half.isinf() & ~tensor.isinf()).any()):
        raise UserError(
            f"{asker}: {name} has {tensor.abs().max():.3g}, and float16 ends at 65504. Write it with half_values=False."
        )
    return half


def _packs(tensor: Tensor, alive: Tensor) -> bool:
    """Whether bits and values take fewer bytes than the tensor."""
    packed = -(-tensor.numel() // 8) + int(alive.count_nonzero()) * tensor.element_size()
    return tensor.is_floating_point() and packed < tensor.numel() * tensor.element_size()
