"""Prune to a pattern: in every small group of neighboring weights, the same number of weights lives."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lightning_prune.allocation import Allocation
from lightning_prune.allocation.budget import Counts
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.criteria import Criterion
from lightning_prune.criteria.declared import Keep
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.granularity.n_of_m import NofM
from lightning_prune.selection.sharding import whole


class PatternPruner(Pruner):
    """The masks of a network in which ``n`` of every ``m`` weights live.

    The scores of the criterion become ranks within the groups. The highest score of a group has the rank 0, and the
    others -1, -2, ... So the weights with the ``n`` highest ranks of a tensor are the ``n`` best of each group.

    Args:
        weights: The prunable weights by name.
        criterion: How much each weight matters.
        allocation: Not asked: the pattern decides how many weights each tensor keeps.
        seed: Decides, with the cycle and the tensor's name, what a random criterion keeps.
        transposed: The groups of transposed convolutions by the names of their weights.
        pattern: The pattern.
        inputs: The dimension of the inputs of each weight, by name.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        criterion: Criterion,
        allocation: Allocation,
        seed: int,
        transposed: Mapping[str, int],
        pattern: NofM,
        inputs: Mapping[str, int],
    ) -> None:
        super().__init__(weights, criterion, allocation, seed, transposed)
        self.pattern = pattern
        self.inputs = dict(inputs)

    def _allocate(self, scores: Scores, density: float) -> Mapping[str, int]:
        number = self.pattern.number_at(1 - density)
        return Counts({name: self._living(name, number) for name in scores}, cut=float(1 - number))

    def _keep(self, counts: Mapping[str, int], sparsity: float, name: str) -> Keep:
        return self.pattern.number_at(sparsity), self.pattern.m

    def _living(self, name: str, number: int) -> int:
        """How many weights of a tensor live with this number in each group. Groups may have fewer from the start."""
        mask, shape = self.masks[name], self.masks.shapes[name]
        if mask is None:
            return shape.numel() // self.pattern.m * number
        groups = in_groups(whole(mask), self.pattern.m, self.inputs[name])
        return int(groups.sum(-1, dtype=torch.int64).clamp(max=number).sum())

    def _scores(self, cycle: int) -> Scores:
        self._unchecked = set(self.weights)
        return Scores(self.masks.shapes, self.masks.living, partial(self._score, cycle, part=None))

    def _score(self, cycle: int, name: str, part: slice | None) -> Tensor:
        score = super()._score(cycle, name, None)
        ranks = ranks_in_groups(score, self.pattern.m, self.inputs[name])
        return (-ranks.float()).masked_fill(score == DEAD, DEAD)


def in_groups(tensor: Tensor, size: int, dimension: int) -> Tensor:
    """Divide a tensor into groups of neighbors.

    Args:
        tensor: A tensor.
        size: The size of a group. The dimension is a multiple of the size.
        dimension: The dimension along which the neighbors lie.

    Returns:
        A view or copy in which the last dimension runs over a group. The dimension before it runs over the groups.

    Example:
        >>> in_groups(torch.arange(8).view(4, 2), size=2, dimension=0).tolist()
        [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]
    """
    last = tensor.movedim(dimension, -1)
    return last.reshape(*last.shape[:-1], -1, size)


def ranks_in_groups(scores: Tensor, size: int, dimension: int) -> Tensor:
    """Rank scores within groups of neighbors.

    Args:
        scores: The scores.
        size: The size of a group. The dimension is a multiple of the size.
        dimension: The dimension along which the neighbors lie.

    Returns:
        How many scores of its group are above each score, uint8 or int32, in the shape of the scores. Of equal scores
        the first ones come first.

    Example:
        >>> ranks_in_groups(torch.tensor([[1.0, 9.0, 7.0, 7.0]]), size=4, dimension=1)
        tensor([[3, 0, 1, 2]], dtype=torch.uint8)
    """
    groups = in_groups(scores, size, dimension)
    ranks = torch.zeros(groups.shape, dtype=torch.uint8 if size <= 256 else torch.int32, device=scores.device)
    for place in range(size):
        rival = groups[..., place : place + 1]
        ranks[..., :place] += rival > groups[..., :place]
        ranks[..., place + 1 :] += rival >= groups[..., place + 1 :]
    return ranks.flatten(-2).movedim(-1, dimension)
