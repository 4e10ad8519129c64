"""Masks of whole units as factors: small masks that are broadcast to a tensor, and whose product is its mask."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor

Factors = tuple[Tensor, ...]


def as_factors(mask: Tensor | Factors) -> Factors:
    """Take a single mask as its only factor.

    Args:
        mask: A mask, or the factors of one.
    """
    return (mask,) if isinstance(mask, Tensor) else tuple(mask)


def product(factors: Sequence[Tensor], shape: Size) -> Tensor:
    """Multiply factors to a mask.

    Args:
        factors: At least one mask that can be broadcast to the shape.
        shape: The shape of the tensor.

    Returns:
        The mask, in this shape. It may share memory with the factors.

    Example:
        >>> rows, columns = torch.tensor([[1], [0]]), torch.tensor([[1, 0]])
        >>> product([rows, columns], Size([2, 2])).tolist()
        [[1, 0], [0, 0]]
    """
    if len(factors) == 1 and factors[0].shape == shape:
        return factors[0]
    found = factors[0]
    for factor in factors[1:]:
        found = found * factor
    return found.expand(shape)


def living(factors: Sequence[Tensor], shape: Size) -> int:
    """Count the living weights of a tensor.

    Args:
        factors: At least one mask that can be broadcast to the shape.
        shape: The shape of the tensor.

    Example:
        >>> living([torch.tensor([[1], [0]])], Size([2, 3]))
        3
    """
    return int(torch.count_nonzero(product(factors, shape)))
