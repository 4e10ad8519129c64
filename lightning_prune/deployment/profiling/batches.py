"""Make batches of any size of an example."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from lightning_prune.basics.user_error import UserError


def resized(example: Any, size: int) -> Any:
    """Make a batch of another size of an example: repeat its samples, or leave some out.

    Args:
        example: Tensors in any nesting. The first dimension of those with the samples has the size of the batch, which
            is that of the first tensor.
        size: The number of samples to have, at least 1.

    Returns:
        The same nesting.

    Raises:
        UserError: If there is no tensor with samples.

    Example:
        >>> resized((torch.tensor([5, 6, 7]), torch.tensor(1.5)), 2)
        (tensor([5, 6]), tensor(1.5000))
        >>> resized(torch.tensor([[5], [6]]), 3).tolist()
        [[5], [6], [5]]
    """
    tensors = [one for one in tree_leaves(example) if isinstance(one, Tensor) and one.dim()]
    if not tensors or not len(tensors[0]):
        raise UserError("The example has no samples: give a tensor, or a batch of data, with the samples along dim 0.")
    count = len(tensors[0])

    def taken(one: Any) -> Any:
        if not isinstance(one, Tensor) or not one.dim() or len(one) != count:
            return one
        return one[torch.arange(size, device=one.device) % count]

    return tree_map(taken, example)
