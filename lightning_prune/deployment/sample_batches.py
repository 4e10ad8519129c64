"""Batches of any size from one example, and which dimension of which input is the batch."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

Arguments = tuple[Any, ...] | dict[str, Any]  # of `forward`, by place or by name


@dataclass(frozen=True)
class SampleBatches:
    """The inputs of a network, as batches of any size.

    The batch is the first dimension of the first tensor, and of all tensors that have the same first size.

    Args:
        arguments: The arguments of ``forward``: tensors in any nesting, and plain values, which stay as they are.

    Example:
        >>> batches = SampleBatches((torch.tensor([[1.0], [2.0]]), True))
        >>> batches.of(3)
        (tensor([[1.],
                [2.],
                [1.]]), True)
    """

    arguments: Arguments

    @property
    def size(self) -> int | None:
        """The batch size of the example. None: there is no tensor with a dimension."""
        sizes = [len(one) for one in tree_leaves(self.arguments) if isinstance(one, Tensor) and one.dim()]
        return sizes[0] if sizes else None

    def of(self, number: int | None) -> Arguments:
        """The arguments for a batch. The rows of the example are repeated in turn.

        Args:
            number: The batch size. None: the example as it is.
        """
        size = self.size
        if number is None or size is None:
            return self.arguments
        rows = torch.arange(number) % size
        found: Arguments = tree_map(lambda one: one[rows] if self._has_batch(one) else one, self.arguments)
        return found

    def tensors(self, number: int | None) -> list[Tensor]:
        """The tensors of a batch, in the order of the arguments."""
        return [one for one in tree_leaves(self.of(number)) if isinstance(one, Tensor)]

    def shapes(self, number: int | None) -> list[list[int | None]]:
        """The shape of each tensor.

        Args:
            number: The batch size. None: any, which is None in the shapes.
        """
        found = self.tensors(None)
        return [[number, *one.shape[1:]] if self._has_batch(one) else list(one.shape) for one in found]

    def marked(self, mark: Any) -> Any:
        """Arguments in which ``{0: mark}`` stands for each tensor with a batch, and None for everything else."""
        return tree_map(lambda one: {0: mark} if self._has_batch(one) else None, self.arguments)

    def _has_batch(self, one: Any) -> bool:
        return isinstance(one, Tensor) and one.dim() > 0 and len(one) == self.size
