"""Score weights by what flows into them on batches of training data."""

import torch
from torch import Tensor

from lightning_prune.criteria.declared import needs
from lightning_prune.criteria.evidence import Evidence
from lightning_prune.selection.filter_layout import by_filter, undo_by_filter


@needs("input_norm", batches=8)
def wanda(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights whose removal changes the layer's outputs most: ``|w|`` times the norm of its input (Wanda).

    The norm of an input is the L2 norm over all samples and positions, in evaluation mode. In a convolution it is that
    of the numbers under each position of the kernel, padding included. The authors compare the weights of each output:
    use it with the allocation ``per_row``. They prune a language model layer after layer, with inputs from the part
    that is pruned already. Here all layers are looked at first, in the network as it is.

    Reference: Sun, Liu, Bair & Kolter, A Simple and Effective Pruning Approach for Large Language Models, 2024,
    https://arxiv.org/abs/2306.11695 (128 samples of text; 8 batches are our choice).

    Args:
        weight: The weight, of any shape.
        evidence: The norms of the inputs (8 batches, or another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> found = {"input_norm": torch.tensor([[1.0, 10.0]])}
        >>> wanda(torch.tensor([[-3.0, 0.5]]), Evidence(torch.Generator(), found))
        tensor([[3., 5.]])
    """
    return weight.detach().abs() * evidence.input_norm


@needs("input_norm", batches=8)
def ria(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights that are large beside those of their output and their input: relative importance (RIA).

    The score is ``(|w| / sum over the output + |w| / sum over the input) * norm ** 0.5``, with the norms of
    :func:`wanda`. The sum over an input runs over all outputs, also in a grouped convolution. Where all weights of an
    output or an input are zero, the quotient is 0. The relative scores keep whole outputs and inputs from dying, so
    ``layerwise`` goes with it as well as ``per_row``. The authors also permute channels for 2:4, which is left out.

    Reference: Zhang et al., Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models, 2024,
    https://openreview.net/forum?id=Tr0lPx9woF (exponent 0.5; 8 batches are our choice).

    Args:
        weight: The weight, of any shape.
        evidence: The norms of the inputs (8 batches, or another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> found = {"input_norm": torch.tensor([[1.0, 4.0], [1.0, 4.0]])}
        >>> ria(torch.tensor([[1.0, 3.0], [1.0, 1.0]]), Evidence(torch.Generator(), found))
        tensor([[0.7500, 3.0000],
                [1.0000, 1.5000]])
    """
    size = by_filter(weight.detach(), evidence.transposed).abs() if weight.dim() else weight.detach().abs()
    if weight.dim() == 0:
        return size
    size = size.to(torch.promote_types(size.dtype, torch.float32))
    relative = _share(size, size.sum(1, keepdim=True)) + _share(size, size.sum(0, keepdim=True))
    return undo_by_filter(relative, weight.shape, evidence.transposed) * evidence.input_norm.sqrt()


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """A quotient that is 0 where all is 0."""
    return part / whole.masked_fill(whole == 0, 1.0)
