"""Keep whole filters only: round any allocation to multiples of a filter's size."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_prune.allocation import Allocation, layerwise
from lightning_prune.allocation.budget import budget_of
from lightning_prune.allocation.rule import Rule
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.filters import warn_of_filters
from lightning_prune.criteria.scores import Scores
from lightning_prune.selection.filter_layout import filter_count


@dataclass(frozen=True, repr=False)
class WholeFilters(Rule):
    """Use another allocation, rounded to whole filters. Use it together with the criterion ``Filters``.

    Use ``IterativePruning(granularity=lightning_prune.Filters())`` instead, with the inner allocation: this allocation
    goes with a later version. Its runs stay as they are until then.

    Counts are rounded down to multiples of a filter's size. The rest of the budget is then spent filter by filter. Each
    filter goes to the tensor that lost most to rounding, counted in filters. A rest that is too small for any filter
    is not spent.

    Reference: Roy et al., Pruning Filters while Training for Efficiently Optimizing Deep Learning Networks, 2020,
    https://arxiv.org/abs/2003.02800 (a number of filters of every layer at each prune).

    Args:
        allocation: The allocation that decides the counts before rounding.

    Raises:
        ValueError: If ``allocation`` is not callable.

    Example:
        >>> import torch
        >>> scores = Scores.of({"a": torch.rand(4, 2, 3, 3), "b": torch.rand(10, 4)})
        >>> layerwise(scores, density=0.5), WholeFilters()(scores, density=0.5)
        ({'a': 36, 'b': 20}, {'a': 36, 'b': 20})
        >>> layerwise(scores, density=0.4), WholeFilters()(scores, density=0.4)
        ({'a': 29, 'b': 16}, {'a': 18, 'b': 24})
    """

    allocation: Allocation = layerwise

    def __post_init__(self) -> None:
        if not callable(self.allocation):
            raise UserError(
                f"WholeFilters(allocation={self.allocation!r}) is not callable: give lightning_prune.layerwise, not a "
                "name."
            )
        warn_of_filters("lightning_prune.WholeFilters(allocation)", "allocation=allocation")

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        budget, given = budget_of(scores, density), dict(self.allocation(scores, density))
        sizes = {name: filter_size(scores, name) for name in scores}
        counts = {name: given[name] // size * size for name, size in sizes.items()}
        while fitting := self._fitting(scores, counts, sizes, budget):
            most = max(fitting, key=lambda name: (given[name] - counts[name]) / sizes[name])
            counts[most] += sizes[most]
        return counts

    def most_unspent(self, scores: Scores) -> int:
        return max((filter_size(scores, name) for name in scores), default=1) - 1

    @staticmethod
    def _fitting(scores: Scores, counts: Mapping[str, int], sizes: Mapping[str, int], budget: int) -> list[str]:
        """The tensors that can keep one more filter."""
        left = budget - sum(counts.values())
        return [name for name, size in sizes.items() if size <= min(left, scores.living[name] - counts[name])]


def filter_size(scores: Scores, name: str) -> int:
    """Count the weights of one filter, which makes one output of the layer.

    Args:
        scores: The scores.
        name: The tensor.

    Example:
        >>> import torch
        >>> filter_size(Scores.of({"a": torch.rand(4, 2, 3, 3)}), "a")
        18
    """
    shape = scores.shapes[name]
    return max(shape.numel() // filter_count(shape, scores.transposed.get(name, 0)), 1)
