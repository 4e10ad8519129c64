"""Weights that lie on several devices in parts (DTensors, as FSDP2 and tensor parallelism make them): whole and not."""

import torch
from torch import Tensor, nn

if torch.distributed.is_available():
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor lies on several devices in parts."""
    return torch.distributed.is_available() and isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor, on every process; all processes have to ask for it.

    Example:
        >>> whole(torch.ones(2))
        tensor([1., 1.])
    """
    return tensor.detach().full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def blank_mask(like: Tensor) -> Tensor:
    """An uninitialised uint8 tensor of the shape of the whole of ``like``, where its parts lie."""
    if is_sharded(like):
        return torch.empty(like.shape, dtype=torch.uint8, device=like.device)
    return torch.empty_like(like, dtype=torch.uint8)


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """Lay a whole tensor out as another one lies.

    Args:
        tensor: A plain tensor of the shape of ``like``, the same on every process.
        like: A plain tensor, or one in parts.

    Returns:
        The tensor itself, or this process's part of it.
    """
    if not is_sharded(like):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]


def own_parts(tensor: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """What this process holds of a tensor and of its mask.

    Args:
        tensor: A plain tensor, or one in parts.
        mask: Its mask, laid out likewise.

    Returns:
        Plain tensors that share their memory; both as they are, where they are not laid out alike.

    Example:
        >>> own_parts(torch.ones(2), torch.zeros(2))
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    if is_sharded(tensor) and is_sharded(mask) and _layout(tensor) == _layout(mask):
        return tensor.to_local(), mask.to_local()  # type: ignore[attr-defined]
    return tensor, mask


def _layout(tensor: Tensor) -> tuple[object, object]:
    return tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]


def reshard(module: nn.Module) -> None:
    """Give up the whole weights that FSDP2 keeps between two passes: they would be used where the parts have changed.

    Args:
        module: The network.
    """
    if torch.distributed.is_available():
        for layer in module.modules():
            if isinstance(layer, FSDPModule):
                layer.reshard()
