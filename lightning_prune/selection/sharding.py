"""Handle weights that are split over several devices (DTensors, as FSDP2 and tensor parallelism make them)."""

import torch
from torch import Tensor, nn

if torch.distributed.is_available():
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is split over several devices."""
    return torch.distributed.is_available() and isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Gather the whole tensor on every process. All processes have to call this function.

    Example:
        >>> whole(torch.ones(2))
        tensor([1., 1.])
    """
    return tensor.detach().full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def blank_mask(like: Tensor) -> Tensor:
    """Make an uninitialized uint8 tensor with the whole shape of ``like``, on the device of ``like``."""
    if is_sharded(like):
        return torch.empty(like.shape, dtype=torch.uint8, device=like.device)
    return torch.empty_like(like, dtype=torch.uint8)


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """Split a whole tensor in the same way as another tensor.

    Args:
        tensor: A plain tensor of the shape of ``like``, the same on every process.
        like: A plain tensor, or a split tensor.

    Returns:
        The tensor itself if ``like`` is plain. Otherwise the tensor, split like ``like``.
    """
    if not is_sharded(like):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]


def own_parts(tensor: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of a tensor and of its mask that this process holds.

    Args:
        tensor: A plain tensor, or a split tensor.
        mask: The tensor's mask, split in the same way.

    Returns:
        Plain tensors that share memory with the arguments. The arguments themselves, if either is plain or if they are
        split in different ways.

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
    """Drop the whole weights that FSDP2 keeps between two passes. They are out of date once the parts have changed.

    Args:
        module: The network.
    """
    if torch.distributed.is_available():
        for layer in module.modules():
            if isinstance(layer, FSDPModule):
                layer.reshard()
