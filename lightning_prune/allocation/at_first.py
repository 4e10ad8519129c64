"""Divide the weights of the first prune by one allocation, and those of later prunes by another."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_prune.allocation import Allocation, globally
from lightning_prune.allocation.rule import Rule
from lightning_prune.allocation.within_rows import compares_rows
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import Scores


@dataclass(frozen=True, repr=False)
class AtFirst(Rule):
    """Use one allocation while no tensor is dead in part, and another one from then on.

    A random mask with the densities of ``erk`` or ``balanced`` is trained in several cycles this way, and the last
    prune goes by one threshold. ``Switch`` does the same for criteria.

    Reference: Gadhikar, Nelaturu & Burkholz, Cyclic Sparse Training: Is it Enough?, 2024,
    https://arxiv.org/abs/2406.02773. The last prune of SCULPT is global.

    Args:
        first: The allocation of the first prune.
        then: The allocation of all later ones.

    Raises:
        ValueError: If one of them is no allocation, or compares the weights of a row only.

    Example:
        >>> import torch
        >>> from lightning_prune.allocation import layerwise
        >>> scores = {"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([2.0, 1.0])}
        >>> AtFirst(first=layerwise, then=globally)(Scores.of(scores), density=0.5)
        {'a': 1, 'b': 1}
        >>> scores["b"][1] = -torch.inf  # it is dead by now
        >>> dict(AtFirst(first=layerwise, then=globally)(Scores.of(scores), density=0.5))
        {'a': 2, 'b': 0}
    """

    first: Allocation
    then: Allocation = globally

    def __post_init__(self) -> None:
        for name, given in (("first", self.first), ("then", self.then)):
            if not callable(given):
                raise UserError(f"AtFirst({name}={given!r}) is not callable: give lightning_prune.erk, not a name.")
            if compares_rows(given):
                raise UserError(f"AtFirst({name}={given!r}) compares the weights of a row only: give another one.")

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        return self._of(scores)(scores, density)

    def most_unspent(self, scores: Scores) -> int:
        allocation = self._of(scores)
        return allocation.most_unspent(scores) if isinstance(allocation, Rule) else 0

    def _of(self, scores: Scores) -> Allocation:
        sizes = {name: shape.numel() for name, shape in scores.shapes.items()}
        return self.first if all(living in (0, sizes[name]) for name, living in scores.living.items()) else self.then
