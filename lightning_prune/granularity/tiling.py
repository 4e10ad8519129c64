"""Units that divide each weight on its own, such as filters and blocks: every weight is a group."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from math import prod

import torch
from torch import Size, Tensor

from lightning_prune.granularity.base import Masks, Units


class Tiling(Units):
    """Units within one weight each. The groups bear the names of the weights.

    Args:
        weights: The prunable weights by name.
        transposed: The number of groups of each transposed convolution, by the name of its weight.
    """

    def __init__(self, weights: Mapping[str, Tensor], transposed: Mapping[str, int]) -> None:
        self._weights, self._transposed = dict(weights), dict(transposed)
        self.covered = {name: weight.shape for name, weight in weights.items()}
        self.kernels = self.covered
        self.kinds = {name: f"{weight.dim()} dimensions" for name, weight in weights.items()}
        self.weights = {name: (name,) for name in weights}
        self.shapes = {
            name: self.shape_of(shape, self._transposed.get(name, 0)) for name, shape in self.covered.items()
        }
        self.minimum = dict.fromkeys(weights, 0)

    @abstractmethod
    def shape_of(self, shape: Size, transposed: int) -> Size:
        """The shape of the mask of units of a weight of this shape."""

    @abstractmethod
    def sorted_by_unit(self, tensor: Tensor, transposed: int, fill: float) -> Tensor:
        """Put the numbers of a weight into one row for each unit, and ``fill`` where a row is too long."""

    @abstractmethod
    def spread(self, mask: Tensor, shape: Size, transposed: int) -> Tensor:
        """Give every weight the number of its unit. The result can be broadcast to the weight's shape."""

    def rows(self, group: str, tensor_of: Callable[[str], Tensor], fill: float, masks: Masks) -> list[Tensor]:
        return [self.sorted_by_unit(tensor_of(group), self._transposed.get(group, 0), fill)]

    def factors(self, masks: Masks) -> dict[str, tuple[Tensor, ...]]:
        return {
            name: (self.spread(mask, self.covered[name], self._transposed.get(name, 0)),)
            for name, mask in masks.items()
        }

    def found(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, shape in self.shapes.items():
            mask = masks.get(name)
            alive = torch.ones(prod(shape), dtype=torch.uint8)
            if mask is not None:
                alive = self.sorted_by_unit(mask.to(torch.uint8), self._transposed.get(name, 0), 0).amax(1)
            found[name] = alive.view(shape)
        return found

    def only(self, weights: Iterable[str]) -> Units:
        kept = set(weights)
        left = {name: weight for name, weight in self._weights.items() if name in kept}
        return self.again(left, self._transposed)

    def again(self, weights: Mapping[str, Tensor], transposed: Mapping[str, int]) -> Units:
        """The same division of other weights."""
        return type(self)(weights, transposed)
