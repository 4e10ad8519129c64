"""Low-rank changes of a sparse weight that leave its zeros in place."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class LowRank:
    """Two small matrices, and the weight that they change.

    Attributes:
        base: The weight before any change. Dead weights are zero.
        first: Of the shape (rank, inputs).
        second: Of the shape (outputs, rank).
        strength: What the product is multiplied with where it is added. None where it scales the weight.

    Example:
        >>> weight = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
        >>> change = added_to(weight, rank=1, alpha=2.0, generator=torch.Generator().manual_seed(0))
        >>> torch.equal(change.merged(), weight)
        True
        >>> _ = nn.init.ones_(change.first), nn.init.ones_(change.second)
        >>> change.merged()
        tensor([[3., 0.],
                [4., 5.]])
    """

    base: Tensor
    first: nn.Parameter
    second: nn.Parameter
    strength: float | None

    def merged(self) -> Tensor:
        """The changed weight. Zeros of ``base`` are zeros of it."""
        product = (self.second @ self.first).detach().view(self.base.shape)
        if self.strength is None:
            return self.base * product
        return self.base + self.strength * product * (self.base != 0)

    def take_gradient_(self, gradient: Tensor) -> None:
        """Set the gradients of both matrices, by the chain rule.

        Args:
            gradient: The gradient of the loss by the merged weight, in its shape.
        """
        outer = gradient * (self.base if self.strength is None else self.strength * (self.base != 0))
        outer = outer.reshape(len(self.second), -1).to(self.first.dtype)
        self.first.grad = self.second.detach().t() @ outer
        self.second.grad = outer @ self.first.detach().t()


def added_to(weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> LowRank:
    """A change that is added, and adds nothing at first.

    Args:
        weight: The weight, with at least two dimensions. Outputs lie along the first.
        rank: The rank, at most the smaller side of the weight's matrix.
        alpha: The product is multiplied with ``alpha / rank``.
        generator: Draws the first matrix, on the CPU. The second is zero.
    """
    outputs, inputs, rank = _sizes(weight, rank)
    bound = 1 / math.sqrt(inputs)
    drawn = (torch.rand(rank, inputs, generator=generator) * 2 - 1) * bound  # as torch draws a linear layer
    second = weight.new_zeros(outputs, rank)
    return LowRank(weight.detach().clone(), nn.Parameter(drawn.to(weight)), nn.Parameter(second), alpha / rank)


def scaling(weight: Tensor, rank: int) -> LowRank:
    """A change that the weight is multiplied with, by 1 at first.

    Args:
        weight: The weight, with at least two dimensions. Outputs lie along the first.
        rank: The rank, at most the smaller side of the weight's matrix.
    """
    outputs, inputs, rank = _sizes(weight, rank)
    value = 1 / math.sqrt(rank)
    first, second = weight.new_full((rank, inputs), value), weight.new_full((outputs, rank), value)
    return LowRank(weight.detach().clone(), nn.Parameter(first), nn.Parameter(second), None)


def _sizes(weight: Tensor, rank: int) -> tuple[int, int, int]:
    outputs, inputs = len(weight), weight[0].numel()
    return outputs, inputs, min(rank, outputs, inputs)
