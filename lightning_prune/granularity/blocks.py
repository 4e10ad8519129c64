"""Blocks of a matrix live and die whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Size, Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.granularity.base import Granularity, Units
from lightning_prune.granularity.reduce import Reduce, check_reduce
from lightning_prune.granularity.tiling import Tiling
from lightning_prune.selection.filter_layout import by_filter, filter_count, undo_by_filter
from lightning_prune.structures.groups import FoundStructures


@dataclass(frozen=True)
class Blocks(Granularity):
    """Rectangular blocks of a weight live and die whole. Sparse matrix products can then work block by block.

    The weight is taken as a matrix: one row for each output, and one column for each number that goes into an output. A
    convolution with ``i`` input channels and a 3x3 kernel has ``9 i`` columns. Blocks at the right and the lower edge
    are smaller where the matrix is no multiple of the block.

    Reference: Narang, Undersander & Diamos, Block-Sparse Recurrent Neural Networks, 2017,
    https://arxiv.org/abs/1711.02782 (blocks of 4x4 to 32x32, each with the score of its largest weight:
    ``reduce="max"``).

    Args:
        rows: The height of a block, at least 1.
        columns: The width of a block, at least 1.
        reduce: What makes one score of the scores of a block's weights, see ``Filters``.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> Blocks(rows=4, columns=2)({"a": torch.rand(8, 5)}, {}).shapes
        {'a': torch.Size([2, 3])}
    """

    rows: int
    columns: int
    reduce: Reduce = "mean"

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            check_at_least_one("Blocks", name, getattr(self, name))
        check_reduce(self, self.reduce)

    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> Units:
        return _Grid(weights, transposed, self.rows, self.columns)


class _Grid(Tiling):
    def __init__(self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], height: int, width: int) -> None:
        self.height, self.width = height, width
        super().__init__(weights, transposed)

    def again(self, weights: Mapping[str, Tensor], transposed: Mapping[str, int]) -> Units:
        return _Grid(weights, transposed, self.height, self.width)

    def shape_of(self, shape: Size, transposed: int) -> Size:
        rows, columns = _matrix(shape, transposed)
        return Size([-(-rows // self.height), -(-columns // self.width)])

    def sorted_by_unit(self, tensor: Tensor, transposed: int, fill: float) -> Tensor:
        matrix = by_filter(tensor, transposed)
        down, across = self.shape_of(tensor.shape, transposed)
        missing = (0, across * self.width - matrix.shape[1], 0, down * self.height - matrix.shape[0])
        padded = torch.nn.functional.pad(matrix, missing, value=fill)
        grid = padded.view(down, self.height, across, self.width).transpose(1, 2)
        return grid.reshape(down * across, self.height * self.width)

    def spread(self, mask: Tensor, shape: Size, transposed: int) -> Tensor:
        rows, columns = _matrix(shape, transposed)
        matrix = mask.repeat_interleave(self.height, 0)[:rows].repeat_interleave(self.width, 1)[:, :columns]
        return undo_by_filter(matrix, shape, transposed)


def _matrix(shape: Size, transposed: int) -> tuple[int, int]:
    rows = filter_count(shape, transposed)
    return rows, prod(shape) // max(rows, 1)
