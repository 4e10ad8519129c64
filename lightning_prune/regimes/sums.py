"""Sums over all processes, where there are several."""

from torch import Tensor, distributed


def world_size() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def total(tensor: Tensor) -> Tensor:
    """Add up a tensor over all processes, each of which has to call this.

    Args:
        tensor: The addend of this process.

    Returns:
        The sum, on the same device.

    Example:
        >>> import torch
        >>> total(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """
    if world_size() == 1:
        return tensor
    on_gpu = distributed.get_backend() == "nccl"
    added = tensor.to("cuda", copy=True) if on_gpu else tensor.to("cpu", copy=True)
    distributed.all_reduce(added)
    return added.to(tensor.device)


def in_double(tensor: Tensor) -> Tensor:
    """Detach a tensor and make it double precision, which MPS devices have on the CPU only.

    Example:
        >>> import torch
        >>> in_double(torch.tensor([True, False]))
        tensor([1., 0.], dtype=torch.float64)
    """
    return tensor.detach().to("cpu" if tensor.device.type == "mps" else tensor.device).double()
