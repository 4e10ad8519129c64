"""Refuse a selection that cannot be pruned when a fit starts."""

from torch import nn

from lightning_prune.allocation import Allocation
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria import Criterion
from lightning_prune.criteria.filters import Filters
from lightning_prune.selection.layer_types import outputs_of, path_of
from lightning_prune.selection.parameters import owned_parameters
from lightning_prune.selection.prunable import Selected


def refuse_other_filters(module: nn.Module, selected: Selected, criterion: Criterion, allocation: Allocation) -> None:
    """Refuse to prune whole filters where they do not lie along the first dimension.

    Args:
        module: The network.
        selected: What is pruned of it.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.

    Raises:
        ValueError: If a layer has its outputs elsewhere, and the criterion or the allocation goes by filters.
    """
    if not isinstance(criterion, Filters) and not isinstance(allocation, WholeFilters):
        return
    for one in owned_parameters(module):
        layer, dimension = one.owners[0][0], outputs_of(one.owners[0][0])
        if one.name in selected.weights and dimension is not None:
            raise UserError(
                f"IterativePruning cannot prune whole filters of {one.name}: Filters and WholeFilters take the first "
                f"dimension for the outputs, and those of {path_of(type(layer))} lie along dimension {dimension}. "
                f"Exclude it: IterativePruning(prunable=Prunable(exclude=['{one.name}']))."
            )
