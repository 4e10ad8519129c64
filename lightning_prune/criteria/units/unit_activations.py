"""Score units by what flows out of them on batches of training data."""

import torch
from torch import Tensor

from lightning_prune.criteria.declared import needs, of_units
from lightning_prune.criteria.evidence import Evidence

_BINS = 20


@of_units
@needs("output_mean", batches=8)
def mean_activation(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the units with the largest mean absolute activation, over all samples and positions.

    The activation is what leaves the unit behind its norm and its nonlinearity, in evaluation mode. With ReLU it is the
    mean activation of the papers. A residual stream is looked at wherever a layer reads it. It needs ``Structures()``
    or ``Filters()``.

    Reference: Roy et al., Pruning Filters while Training for Efficiently Optimizing Deep Learning Networks, 2020,
    https://arxiv.org/abs/2003.02800, and Hu, Henderson & Cano, ICE-Pruning, 2025, https://arxiv.org/abs/2505.07411,
    whose code takes the mean behind ReLU and BatchNorm. 8 batches are our choice.

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The means (8 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> found = {"output_mean": torch.tensor([[0.5], [0.0]])}
        >>> mean_activation(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([0.5000, 0.0000])
    """
    return evidence.output_mean.mean(1)


@of_units
@needs("output_samples", batches=8)
def activation_entropy(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the units whose activation differs most between samples: the entropy of a histogram of 20 bins, in nats.

    The activation of a sample is averaged over its positions. The bins divide the range of the unit's own activations
    into equal parts. A unit that gives the same for all samples scores 0. See :func:`mean_activation` for what an
    activation is.

    Reference: Luo & Wu, An Entropy-based Pruning Method for CNN Compression, 2017, https://arxiv.org/abs/1706.05791,
    and Hu, Henderson & Cano, ICE-Pruning, 2025, https://arxiv.org/abs/2505.07411, whose code has the 20 bins. The range
    of the bins and 8 batches are our choice.

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The activation of each sample (8 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, from 0 to log(20).

    Example:
        >>> found = {"output_samples": torch.tensor([[0.0, 0.1, 0.9, 1.0], [2.0, 2.0, 2.0, 2.0]])}
        >>> activation_entropy(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([1.3863, 0.0000])
    """
    samples = evidence.output_samples.double()
    low, high = samples.amin(1, keepdim=True), samples.amax(1, keepdim=True)
    places = (samples - low) / (high - low).masked_fill(high == low, 1.0) * _BINS
    bins = places.long().clamp(0, _BINS - 1)
    counts = samples.new_zeros(len(samples), _BINS).scatter_add_(1, bins, torch.ones_like(samples))
    entropy: Tensor = torch.special.entr(counts / samples.shape[1]).sum(1)
    return entropy.float()


@of_units
@needs("output_rank", batches=5)
def feature_rank(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels whose feature maps have the highest rank, averaged over samples (HRank).

    A map has height and width. A channel of one dimension, and a neuron, has a rank of 1 where it is not zero, and 0
    else. See :func:`mean_activation` for what is looked at. The authors prune layer by layer and choose each checkpoint
    by the accuracy on the test set, which this criterion alone does not do.

    Reference: Lin et al., HRank: Filter Pruning using High-Rank Feature Map, 2020, https://arxiv.org/abs/2002.10179
    (5 batches of 128 images in their code).

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The mean ranks (5 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> found = {"output_rank": torch.tensor([[6.5], [1.0]])}
        >>> feature_rank(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([6.5000, 1.0000])
    """
    return evidence.output_rank.mean(1)
