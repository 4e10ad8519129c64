"""Score units by the weights that compute them."""

import torch
from torch import Tensor

from lightning_prune.criteria.declared import of_units
from lightning_prune.criteria.evidence import Evidence


@of_units
def l1_norm(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the units with the largest sum of absolute weights.

    The norm grows with the number of inputs of a layer. So use it with an allocation that compares no layers, such as
    ``layerwise`` or ``Widths``, or with ``isomorphic``. ``magnitude`` with ``reduce="mean"`` is this norm divided by
    the number of weights.

    Reference: Li et al., Pruning Filters for Efficient ConvNets, 2017, https://arxiv.org/abs/1608.08710.

    Args:
        units: One row for each unit.
        evidence: Not used.

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> l1_norm(torch.tensor([[1.0, -3.0], [0.0, 2.0]]), Evidence(torch.Generator()))
        tensor([4., 2.])
    """
    return units.detach().abs().sum(1)


@of_units
def l2_norm(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the units with the largest root of the sum of squared weights. See :func:`l1_norm` for the allocation.

    Reference: He et al., Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks, 2018,
    https://arxiv.org/abs/1808.06866.

    Args:
        units: One row for each unit.
        evidence: Not used.

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> l2_norm(torch.tensor([[3.0, -4.0], [0.0, 2.0]]), Evidence(torch.Generator()))
        tensor([5., 2.])
    """
    return units.detach().square().sum(1).sqrt()


@of_units
def geometric_median(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the units that are far from the others: the sum of distances to all units of the layer (FPGM).

    The units near the geometric median can be replaced by the others. Dead units are zeros, and count as all others do.
    The authors' code also drops some units by their norm first. Its usual setting drops none.

    Reference: He et al., Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration, 2019,
    https://arxiv.org/abs/1811.00250.

    Args:
        units: One row for each unit.
        evidence: Not used.

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> geometric_median(torch.tensor([[0.0], [1.0], [5.0]]), Evidence(torch.Generator()))
        tensor([6., 5., 9.])
    """
    rows = units.detach()
    rows = rows if rows.element_size() > 2 else rows.float()
    # Not by a product of matrices: near units would get a distance of rounding errors.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
