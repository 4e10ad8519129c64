"""What a sparsity is a fraction of: weights, units or operations. Find how many units live for a given rest of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lightning_prune.allocation import Allocation
from lightning_prune.criteria.scores import Scores

Quantity = Literal["weights", "flops", "units"]
QUANTITIES = ("weights", "flops", "units")


class Measure(ABC):
    """A quantity that falls as units die."""

    @abstractmethod
    def left(self, living: Mapping[str, int]) -> float:
        """How much is left of the quantity.

        Args:
            living: The number of living units of each group, by name.
        """

    @abstractmethod
    def total(self) -> float:
        """How much there is of the quantity while all units live."""

    @abstractmethod
    def largest(self) -> float:
        """The most that the death of one unit can take away."""


@dataclass(frozen=True)
class Linear(Measure):
    """A quantity of which each unit has a fixed amount.

    Args:
        of_unit: The amount of a unit of each group, by name.
        units: The number of units of each group, by name.
        rest: The amount that no unit has, which always stays.
        of_weights: Whether the quantity is weights. What is left of them can be counted exactly in the masks.

    Example:
        >>> Linear({"a": 9.0, "b": 4.0}, {"a": 2, "b": 3}).left({"a": 1, "b": 3})
        21.0
    """

    of_unit: Mapping[str, float]
    units: Mapping[str, int]
    rest: float = 0.0
    of_weights: bool = False

    def left(self, living: Mapping[str, int]) -> float:
        return self.rest + sum(self.of_unit[name] * living[name] for name in self.units)

    def total(self) -> float:
        return self.left(self.units)

    def largest(self) -> float:
        return max(self.of_unit.values())


def find_counts(allocation: Allocation, scores: Scores, measure: Measure, density: float) -> Mapping[str, int]:
    """Find how many units each group keeps so that a fraction of a quantity is left, by bisection over the ranking.

    Args:
        allocation: The allocation, which divides any number of units among the groups.
        scores: The scores of all units.
        measure: The quantity.
        density: The fraction of the quantity to keep, in (0, 1].

    Returns:
        The counts of the allocation that leave the amount nearest to the fraction. Of two that are as near, those that
        leave less.

    Raises:
        ValueError: If the allocation cannot keep so little.

    Example:
        >>> import torch
        >>> from lightning_prune.allocation import globally
        >>> scores = Scores.of({"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([7.0, 6.0])})
        >>> find_counts(globally, scores, Linear({"a": 10.0, "b": 1.0}, {"a": 2, "b": 2}), density=0.5)
        {'a': 1, 'b': 0}
    """
    wanted, size = density * measure.total(), scores.size
    low, high = 0, sum(scores.living.values())
    below, above = None, allocation(scores, high / size)
    refusal: ValueError | None = None
    if measure.left(above) <= wanted:
        return above
    while high - low > 1:
        middle = (low + high) // 2
        try:
            counts = allocation(scores, middle / size)
        except ValueError as error:  # so few units are refused, and more may not be
            low, below, refusal = middle, None, error
            continue
        if measure.left(counts) <= wanted:
            low, below = middle, counts
        else:
            high, above = middle, counts
    if below is None:
        if refusal is not None:
            raise refusal
        return above
    return below if wanted - measure.left(below) <= measure.left(above) - wanted else above
