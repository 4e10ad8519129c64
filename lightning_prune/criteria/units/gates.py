"""Score units by the BatchNorm or the last layer that lets their values through."""

from torch import Tensor

from lightning_prune.criteria.declared import needs, of_units
from lightning_prune.criteria.evidence import Evidence


@of_units
@needs("scale")
def batch_norm_scale(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels with the largest scale of their BatchNorm: ``|gamma|`` (network slimming).

    The authors train with a penalty on the scales: ``SparsityPenalty(strength)``. Where several norms belong to a
    channel, as in a residual stream, the score is the mean of ``|gamma|`` over them. It needs ``Structures()``, whose
    groups know their norms.

    Reference: Liu et al., Learning Efficient Convolutional Networks through Network Slimming, 2017,
    https://arxiv.org/abs/1708.06519.

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The scales of the norms of each unit.

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> import torch
        >>> found = {"scale": torch.tensor([[0.5], [-2.0]])}
        >>> batch_norm_scale(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([0.5000, 2.0000])
    """
    return evidence.scale.abs().mean(1)


@of_units
@needs("squared_gate_gradient", batches=30)
def taylor_gate(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels with the largest squared derivative of the loss by a gate behind them, averaged over batches.

    A gate is a factor 1 on the channel. The derivative by it is the sum of activation times gradient over all positions
    and samples of the batch. It equals the sum of parameter times gradient over the scale and shift of the norm, or
    over the row and bias where there is no norm, so no gate has to be put into the network. BatchNorm uses the
    statistics of the batch. The authors also keep a running mean over prunes (momentum 0.9), and divide the score of a
    residual stream by the number of its uses. Both are left out. It needs ``Structures()``.

    Reference: Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,
    https://arxiv.org/abs/1906.10771 (their method with gates behind BatchNorm).

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The mean over the batches of the squared derivative (30 batches, or another number with
            ``OnBatches``).

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> import torch
        >>> found = {"squared_gate_gradient": torch.tensor([[4.0], [0.0]])}
        >>> taylor_gate(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([4., 0.])
    """
    return evidence.squared_gate_gradient.sum(1)
