"""Filters live and die whole, by masks: the network keeps its shape."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Size, Tensor

from lightning_prune.granularity.base import Granularity, Units
from lightning_prune.granularity.reduce import Reduce, check_reduce
from lightning_prune.granularity.tiling import Tiling
from lightning_prune.selection.filter_layout import by_filter, filter_count, for_every_weight
from lightning_prune.structures.groups import FoundStructures


@dataclass(frozen=True)
class Filters(Granularity):
    """The filters of convolutions and the rows of linear layers live and die whole, and the network keeps its shape.

    A filter is the set of weights that makes one output channel, also in a transposed convolution. Only weights are
    masked: the bias and the BatchNorm of a dead filter keep their effect, so the filter cannot be removed without
    changing the network. ``Structures`` masks all that belongs to a channel.

    Reference: Li et al., Pruning Filters for Efficient ConvNets, 2017, https://arxiv.org/abs/1608.08710 (L1 norm), and
    Roy et al., Pruning Filters while Training for Efficiently Optimizing Deep Learning Networks, 2020,
    https://arxiv.org/abs/2003.02800 (L1 norm and random, while the network trains).

    Args:
        reduce: What makes one score of the scores of a filter's weights: ``"mean"``, ``"l1"`` (the sum of absolute
            values), ``"l2"`` (the root of the sum of squares) or ``"max"``. With the criterion ``magnitude``,
            ``"mean"`` is the L1 norm divided by the size, which filters of different sizes can be compared by.

    Raises:
        ValueError: If ``reduce`` is unknown.

    Example:
        >>> import torch
        >>> Filters()({"a": torch.rand(4, 2, 3, 3)}, {}).shapes
        {'a': torch.Size([4])}
    """

    reduce: Reduce = "mean"

    def __post_init__(self) -> None:
        check_reduce(self, self.reduce)

    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> Units:
        return _Rows(weights, transposed)


class _Rows(Tiling):
    def outputs(self, group: str) -> dict[str, Tensor]:
        return {group: torch.arange(self.shapes[group].numel())}

    def shape_of(self, shape: Size, transposed: int) -> Size:
        return Size([filter_count(shape, transposed)])

    def sorted_by_unit(self, tensor: Tensor, transposed: int, fill: float) -> Tensor:
        return by_filter(tensor, transposed)

    def spread(self, mask: Tensor, shape: Size, transposed: int) -> Tensor:
        if not transposed:
            return mask.view(-1, *[1] * (len(shape) - 1))
        if transposed == 1:
            return mask.view(1, -1, *[1] * (len(shape) - 2))
        return for_every_weight(mask, shape, transposed)
