"""Leave every tensor a minimum number of weights, under any allocation."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.allocation import Allocation, globally
from lightning_prune.allocation.budget import Counts, budget_of
from lightning_prune.allocation.rule import Rule
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import DEAD, Scores


@dataclass(frozen=True, repr=False)
class WithFloor(Rule):
    """Use another allocation, but leave every tensor a minimum number of weights.

    Global magnitude pruning with a minimum threshold is ``WithFloor(minimum)``. Tensors that would get less are given
    the minimum, and the allocation divides the rest of the budget among the other tensors again. So ``globally`` still
    has one threshold for all tensors above their minimum. The authors' code differs: it takes the missing weights from
    the other tensors in proportion to the weights pruned in each, until the counts fit. A tensor with fewer living
    weights than the minimum keeps all of them.

    Reference: Gupta et al., Is Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude
    Pruning, 2022, https://arxiv.org/abs/2209.14624.

    Args:
        minimum: The number of weights that every tensor keeps at least. Give a whole number of at least 1, or a
            fraction of all prunable weights in (0, 1). The authors' code uses the fraction 0.0005.
        allocation: The allocation that decides the counts above the minimum.

    Raises:
        ValueError: If ``minimum`` is neither. A call raises it if the minima add up to more than the density keeps.

    Example:
        >>> import torch
        >>> scores = Scores.of({"large": torch.tensor([9.0, 8.0, 7.0]), "small": torch.tensor([2.0, 1.0, 0.0])})
        >>> globally(scores, density=0.5), WithFloor(minimum=1)(scores, density=0.5)
        ({'large': 3, 'small': 0}, {'large': 2, 'small': 1})
    """

    minimum: int | float
    allocation: Allocation = globally

    def __post_init__(self) -> None:
        number = isinstance(self.minimum, int | float) and not isinstance(self.minimum, bool)
        if not number or not (0 < self.minimum < 1 or (self.minimum >= 1 and self.minimum % 1 == 0)):
            raise UserError(
                f"WithFloor(minimum={self.minimum!r}) must be a number of weights, at least 1, or a fraction of all "
                "prunable weights between 0 and 1."
            )
        if not callable(self.allocation):
            raise UserError(
                f"WithFloor(allocation={self.allocation!r}) is not callable: give lightning_prune.globally, not a name."
            )

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        minimum = int(self.minimum) or max(int(self.minimum * scores.size), 1)
        floors = {name: min(minimum, living) for name, living in scores.living.items()}
        budget = budget_of(scores, density)
        if sum(floors.values()) > budget:
            raise UserError(
                f"WithFloor(minimum={self.minimum!r}) cannot leave {minimum} weights in each of {len(floors)} tensors: "
                f"that takes {sum(floors.values())}, and density {density:.3g} keeps {budget}. Lower `minimum`, or the "
                "sparsity."
            )
        return _above_floors(self.allocation, scores, floors, budget)


def _above_floors(allocation: Allocation, scores: Scores, floors: Mapping[str, int], budget: int) -> Counts:
    """Give tensors that would get less their floor, and allocate the rest again, until no tensor gets less."""
    held: dict[str, int] = {}
    while True:
        left = budget - sum(held.values())
        given = allocation(_without(scores, held), left / scores.size)
        short = {name: floors[name] for name in scores if name not in held and given[name] < floors[name]}
        if not short:
            return Counts({**given, **held}, getattr(given, "cut", None))
        held |= short


def _without(scores: Scores, held: Mapping[str, int]) -> Scores:
    """The scores with some tensors marked dead, so that an allocation gives them nothing."""
    if not held:
        return scores  # these can still be computed in pieces

    def whole(name: str) -> Tensor:
        return torch.full_like(scores[name], DEAD) if name in held else scores[name]

    living = {name: scores.living[name] * (name not in held) for name in scores}
    return Scores(
        scores.shapes, living, whole, transposed=scores.transposed, kernels=scores.kernels, kinds=scores.kinds
    )
