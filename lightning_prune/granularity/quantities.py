"""What a sparsity is a fraction of: weights, units, operations or time. Find how many units live for a given rest."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_prune.allocation import Allocation
from lightning_prune.basics.user_error import OutOfReach
from lightning_prune.criteria.scores import Scores
from lightning_prune.granularity.base import Units
from lightning_prune.granularity.latency import Latency
from lightning_prune.structures.costs import Costs

Quantity = Literal["weights", "flops", "units", "latency"] | Latency
QUANTITIES = ("weights", "flops", "units", "latency")


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

    @abstractmethod
    def only(self, groups: Collection[str]) -> "Measure":
        """The same quantity where only these groups are pruned."""

    def state(self) -> dict[str, Any]:
        """What a resumed run has to have again, in plain values by name: what was measured and would differ."""
        return {}


@dataclass(frozen=True)
class Linear(Measure):
    """A quantity of which each unit has a fixed amount.

    Args:
        of_unit: The amount of a unit of each group, by name.
        units: The number of units of each group, by name.
        rest: The amount that no unit has, which always stays.
        of_all: Whether groups that are not pruned after all count as a rest.
        of_weights: Whether the quantity is weights. What is left of them can be counted exactly in the masks.

    Example:
        >>> Linear({"a": 9.0, "b": 4.0}, {"a": 2, "b": 3}).left({"a": 1, "b": 3})
        21.0
    """

    of_unit: Mapping[str, float]
    units: Mapping[str, int]
    rest: float = 0.0
    of_all: bool = False
    of_weights: bool = False

    def left(self, living: Mapping[str, int]) -> float:
        return self.rest + sum(self.of_unit[name] * living[name] for name in self.units)

    def total(self) -> float:
        return self.left(self.units)

    def largest(self) -> float:
        return max(self.of_unit[name] for name in self.units)

    def only(self, groups: Collection[str]) -> "Linear":
        left = {name: count for name, count in self.units.items() if name in groups}
        stays = sum(self.of_unit[name] * count for name, count in self.units.items() if name not in left)
        return replace(self, units=left, rest=self.rest + (stays if self.of_all else 0.0))


@dataclass(frozen=True)
class Removed(Measure):
    """What is left of the parameters or operations of a network when dead units are removed, by its table of costs.

    Args:
        costs: The costs of the network.
        widths: The number of units of each group that is pruned, by name.
        flops: Whether operations count, and not parameters.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lightning_prune import structures_of
        >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> measure = Removed(structures_of(network, torch.ones(1, 3)).costs, {"0": 8}, flops=False)
        >>> measure.total(), measure.left({"0": 4}), 4 * (3 + 1) + (4 + 1) * 2
        (50.0, 26.0, 26)
    """

    costs: Costs
    widths: Mapping[str, int]
    flops: bool

    def left(self, living: Mapping[str, int]) -> float:
        return self.of_masks({name: torch.arange(width) < living[name] for name, width in self.widths.items()})

    def of_masks(self, alive: Mapping[str, Tensor]) -> float:
        """What is left with these units.

        Args:
            alive: Which units live, by group. A group that is left out is fully alive.
        """
        counts = self.costs.count(alive)
        return float(counts.flops if self.flops else counts.parameters)

    def total(self) -> float:
        return self.left(self.widths)

    def largest(self) -> float:
        total = self.total()
        return max(total - self.left({**self.widths, name: width - 1}) for name, width in self.widths.items())

    def only(self, groups: Collection[str]) -> "Removed":
        return replace(self, widths={name: width for name, width in self.widths.items() if name in groups})


def in_multiples(allocation: Allocation, units: Units) -> Allocation:
    """Let each group keep a multiple of units, and at least its minimum.

    Args:
        allocation: The allocation.
        units: The units, which have the multiple and the minima.

    Returns:
        An allocation whose counts are rounded to the nearest multiple, within what lives. A group that would keep all
        that lives does so.
    """

    def rounded(scores: Scores, density: float) -> Mapping[str, int]:
        given, multiple = allocation(scores, density), units.multiple
        counts = {}
        for name, living in scores.living.items():
            nearest = max(round(given[name] / multiple) * multiple, units.minimum[name])
            counts[name] = living if given[name] >= living else min(nearest, living)
        return counts

    return rounded


def refuse_minima(measure: Measure, units: Units, living: Mapping[str, int], density: float) -> None:
    """Refuse a density at which groups would have to keep less than their minimum.

    Args:
        measure: What the density is a fraction of.
        units: The units.
        living: The number of living units of each group.
        density: The fraction to keep.

    Raises:
        ValueError: If the minima leave more, by more than half a step.
    """
    counts = {name: min(units.minimum[name], count) for name, count in living.items()}
    least = measure.left(counts)
    one_more = {name: min(count + units.multiple, living[name]) for name, count in counts.items()}
    step = max(measure.left({**counts, name: more}) - least for name, more in one_more.items())
    if least > density * measure.total() + step / 2:
        other = " Or give a measure that counts only what can be removed: measure='units'."
        raise OutOfReach(
            f"The sparsity {1 - density:.4g} cannot be reached: with the least number of units in every group, "
            f"{least / measure.total():.4g} is left, and {density:.4g} is asked for. Lower the sparsity, minimum or "
            f"round_to.{'' if isinstance(measure, Linear) else other}",
            density,
            least / measure.total(),
        )


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
