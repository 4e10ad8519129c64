"""Which weights of a network are the largest: masks over all matrices and kernels together."""

from collections.abc import Sequence

import torch
from torch import Tensor


def largest(tensors: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    """Mark the largest entries of tensors with more than one dimension, compared over all of them.

    Args:
        tensors: Tensors of any shapes. Those with one dimension (biases, norms) are marked whole.
        sparsity: The fraction of entries that are not marked, in [0, 1). Entries that equal the largest unmarked one
            are not marked either.

    Returns:
        A boolean tensor for each.

    Example:
        >>> [mask.tolist() for mask in largest([torch.tensor([[1.0, -4.0], [3.0, 2.0]]), torch.zeros(1)], 0.5)]
        [[[False, True], [True, False]], [True]]
    """
    sizes = [tensor.detach().abs() for tensor in tensors]
    matrices = [size.flatten() for size in sizes if size.dim() > 1]
    count = int(sparsity * sum(matrix.numel() for matrix in matrices))
    if not count:
        return [torch.ones_like(size, dtype=torch.bool) for size in sizes]
    cut = torch.cat([matrix.to(matrices[0].device) for matrix in matrices]).kthvalue(count).values
    return [size > cut.to(size.device) if size.dim() > 1 else torch.ones_like(size, dtype=torch.bool) for size in sizes]
