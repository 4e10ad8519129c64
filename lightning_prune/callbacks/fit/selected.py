"""Refuse a selection that cannot be pruned when a fit starts."""

from torch import nn

from lightning_prune.allocation import Allocation
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria import Criterion
from lightning_prune.criteria.filters import Filters as FilterScores
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.rows import Filters
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.selection.layer_types import outputs_of, path_of
from lightning_prune.selection.parameters import owned_parameters
from lightning_prune.selection.prunable import Selected


def refuse_other_filters(
    module: nn.Module,
    selected: Selected,
    criterion: Criterion,
    allocation: Allocation,
    granularity: Granularity = Weights(),
) -> None:
    """Refuse to prune whole filters where they do not lie along the first dimension.

    Args:
        module: The network.
        selected: What is pruned of it.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.
        granularity: The units in which weights live and die.

    Raises:
        ValueError: If a layer has its outputs elsewhere, and the granularity, the criterion or the allocation
            goes by filters.
    """
    named = isinstance(criterion, FilterScores) or isinstance(allocation, WholeFilters)
    if not named and not isinstance(granularity, Filters):
        return
    for one in owned_parameters(module):
        layer, dimension = one.owners[0][0], outputs_of(one.owners[0][0])
        if one.name in selected.weights and dimension is not None:
            raise UserError(
                f"IterativePruning cannot prune whole filters of {one.name}: filters are taken along the first "
                f"dimension for the outputs, and those of {path_of(type(layer))} lie along dimension {dimension}. "
                f"Exclude it: IterativePruning(prunable=Prunable(exclude=['{one.name}']))."
            )
