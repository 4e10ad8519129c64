"""Pack masks to one bit per weight, as in checkpoints and tickets."""

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError

_BITS = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8)


def pack_bits(mask: Tensor) -> Tensor:
    """Pack a mask of zeros and ones to one bit per weight.

    Args:
        mask: A uint8 tensor of any shape.

    Returns:
        A flat uint8 tensor of ``ceil(mask.numel() / 8)`` bytes on the CPU, the first weight in the lowest bit.

    Example:
        >>> pack_bits(torch.tensor([1, 0, 0, 1, 0, 0, 0, 0, 1], dtype=torch.uint8))
        tensor([9, 1], dtype=torch.uint8)
    """
    flat = mask.flatten().cpu()
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
    return (padded * _BITS).sum(dim=1, dtype=torch.uint8)


def unpack_bits(bits: Tensor, shape: torch.Size) -> Tensor:
    """Undo :func:`pack_bits`.

    Args:
        bits: The packed mask.
        shape: The shape of the mask.

    Returns:
        The mask, uint8, of that shape, on the CPU.

    Raises:
        ValueError: If ``bits`` is not a packed mask of this shape.

    Example:
        >>> unpack_bits(torch.tensor([9], dtype=torch.uint8), torch.Size([2, 2]))
        tensor([[1, 0],
                [0, 1]], dtype=torch.uint8)
    """
    size = -(-shape.numel() // 8)
    if bits.dtype != torch.uint8 or bits.shape != (size,):
        raise UserError(
            f"a mask of shape {tuple(shape)} takes {size} bytes at one bit a weight, and this is a {bits.dtype} tensor "
            f"of shape {tuple(bits.shape)}"
        )
    flat = (bits.cpu()[:, None] & _BITS).ne(0).to(torch.uint8).flatten()
    return flat[: shape.numel()].view(shape)
