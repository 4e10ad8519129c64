"""Score weights by how far training has moved them since an earlier moment."""

from torch import Tensor

from lightning_prune.criteria.declared import elementwise, needs
from lightning_prune.criteria.evidence import Evidence


@elementwise
@needs("phase_start")
def movement(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep weights that moved away from zero in this dense run or cycle: ``(w^2 - w_start^2) / 2``, signed.

    The paper sums ``-lr * g * w`` over the steps. With small steps of gradient descent this sum becomes the integral of
    ``w dw``, which has the value above. The closed form needs no running sum, includes the learning rate of each step,
    and holds for any optimizer.

    Reference: Sanh, Wolf & Rush, Movement Pruning: Adaptive Sparsity by Fine-Tuning, 2020,
    https://arxiv.org/abs/2005.07683.

    Args:
        weight: The weight, of any shape.
        evidence: The weight at the start of the dense run or the cycle.

    Returns:
        Scores of the weight's shape. A score is negative where the weight moved towards zero.

    Example:
        >>> import torch
        >>> found = {"phase_start": torch.tensor([2.0, -2.0, 2.0])}
        >>> movement(torch.tensor([1.0, -4.0, -2.0]), Evidence(torch.Generator(), found))
        tensor([-1.5000,  6.0000, -0.0000])
    """
    start = evidence.phase_start
    return (weight.detach() - start) * (weight.detach() + start) / 2


@elementwise
@needs("epoch_start")
def last_epoch_change(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep weights that still move: ``|w - w_before|`` over the last epoch, which SILO calls the gradient.

    For the paper's global variant, use this criterion with ``globally``. For its variant per layer, use ``layerwise``.
    Weight decay moves weights, too. The scores scale with the learning rate of the last epoch.

    Reference: Liu et al., SILO (a learning-rate schedule for iterative pruning), 2022, https://arxiv.org/abs/2212.06144
    (its ResNet-20 script).

    Args:
        weight: The weight, of any shape.
        evidence: The weight at the start of the last epoch.

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> found = {"epoch_start": torch.tensor([1.0, -2.0])}
        >>> last_epoch_change(torch.tensor([1.5, 2.0]), Evidence(torch.Generator(), found))
        tensor([0.5000, 4.0000])
    """
    return (weight.detach() - evidence.epoch_start).abs()


@elementwise
@needs("epoch_start")
def last_epoch_change_magnitude(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep weights that are large and still move: ``|w - w_before| |w|`` over the last epoch.

    Reference: Liu et al., SILO (a learning-rate schedule for iterative pruning), 2022, https://arxiv.org/abs/2212.06144
    (its VGG-19 script, there per layer: ``layerwise``).

    Args:
        weight: The weight, of any shape.
        evidence: The weight at the start of the last epoch.

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> found = {"epoch_start": torch.tensor([1.0, -2.0])}
        >>> last_epoch_change_magnitude(torch.tensor([1.5, 2.0]), Evidence(torch.Generator(), found))
        tensor([0.7500, 8.0000])
    """
    return ((weight.detach() - evidence.epoch_start) * weight.detach()).abs()


@elementwise
@needs("initial")
def magnitude_increase(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights that grew most since the fit began: ``|w| - |w_initial|``, signed.

    Reference: Zhou et al., Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask, 2019,
    https://arxiv.org/abs/1905.01067.

    Args:
        weight: The weight, of any shape.
        evidence: The weight at the start of this fit. If the dense run belongs to another fit, the start of that other
            fit is not used.

    Returns:
        Scores of the weight's shape. A score is negative where the weight shrank.

    Example:
        >>> import torch
        >>> found = {"initial": torch.tensor([1.0, -2.0])}
        >>> magnitude_increase(torch.tensor([-1.5, 1.0]), Evidence(torch.Generator(), found))
        tensor([ 0.5000, -1.0000])
    """
    return weight.detach().abs() - evidence.initial.abs()
