"""How much the loss depends on a weight: criteria that look at gradients on batches of training data."""

from torch import Tensor

from lightning_prune.criteria.declared import elementwise, needs
from lightning_prune.criteria.evidence import Evidence


@elementwise
@needs("gradient")
def gradient(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the steepest: ``|g|``.

    Reference: Blalock et al., What is the State of Neural Network Pruning?, 2020, https://arxiv.org/abs/2003.03033,
    whose own gradient criterion is :func:`gradient_magnitude`. One batch is a choice, not a constant of a paper.

    Args:
        weight: The weight, of any shape; its values are not looked at.
        evidence: The mean gradient over the batches (one; another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> gradient(torch.zeros(2), Evidence(torch.Generator(), {"gradient": torch.tensor([-3.0, 1.0])}))
        tensor([3., 1.])
    """
    return evidence.gradient.abs()


@elementwise
@needs("gradient")
def gradient_magnitude(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep those whose removal changes the loss most, to first order: ``|g w|``.

    Reference: Blalock et al., What is the State of Neural Network Pruning?, 2020, https://arxiv.org/abs/2003.03033
    (in their code, ShrinkBench, the gradient of one batch, too).

    Args:
        weight: The weight, of any shape.
        evidence: The mean gradient over the batches (one; another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> found = {"gradient": torch.tensor([-3.0, 1.0])}
        >>> gradient_magnitude(torch.tensor([2.0, 0.0]), Evidence(torch.Generator(), found))
        tensor([6., 0.])
    """
    return (evidence.gradient * weight.detach()).abs()


@elementwise
@needs("squared_gradient", batches=30)
def taylor(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep those with the largest expected squared change of the loss: the mean over batches of ``(g w)^2``.

    Reference: Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,
    https://arxiv.org/abs/1906.10771: method 0 of their code, which sums it over each filter. The gates that the paper
    prefers, behind BatchNorm, have another score: the square of the loss's derivative by the gate. They prune every 30
    batches on ImageNet, hence 30 here; their running mean over prunes (momentum 0.9) is left out, because prunes lie
    whole cycles apart here.

    Args:
        weight: The weight, of any shape.
        evidence: The mean squared gradient over the batches (30; another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> found = {"squared_gradient": torch.tensor([4.0, 1.0])}
        >>> taylor(torch.tensor([3.0, -1.0]), Evidence(torch.Generator(), found))
        tensor([36.,  1.])
    """
    return evidence.squared_gradient * weight.detach().square()


@elementwise
@needs("gradient", batch_norm="evaluation")
def snip(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the connections that the loss is most sensitive to: ``|dL/dc|`` at ``c = 1``, where ``w`` becomes ``c w``.

    That derivative is ``|g w|``; BatchNorm uses its running statistics. The paper divides by the sum over the network,
    which changes no ranking, and counts biases as connections, which ``prunable`` decides here.

    Reference: Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019,
    https://arxiv.org/abs/1810.02340.

    Args:
        weight: The weight, of any shape.
        evidence: The mean gradient over the batches (one of the training's size, which is 100 examples in the authors'
            code; another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> import torch
        >>> snip(torch.tensor([2.0, 0.0]), Evidence(torch.Generator(), {"gradient": torch.tensor([-3.0, 1.0])}))
        tensor([6., 0.])
    """
    return (evidence.gradient * weight.detach()).abs()


@elementwise
@needs("hessian_gradient", batches=2)
def grasp(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep those whose removal would weaken the gradient flow most: ``w * (H g)``, signed.

    The paper scores ``-w * (H g)`` and removes the largest, so the sign is turned here. Its authors take some examples
    of every class in two halves (two batches here): their function 25 by default, their released configs 10 on
    CIFAR-10, 5 or 10 on CIFAR-100, 1 on ImageNet. They divide the logits by a temperature of 200, which a loss that
    comes out of ``training_step`` does not allow: divide them in ``training_step`` to follow them.

    Reference: Wang, Zhang & Grosse, Picking Winning Tickets Before Training by Preserving Gradient Flow, 2020,
    https://arxiv.org/abs/2002.07376.

    Args:
        weight: The weight, of any shape.
        evidence: The product of Hessian and gradient over the batches (two; another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, of both signs.

    Example:
        >>> import torch
        >>> found = {"hessian_gradient": torch.tensor([3.0, -1.0])}
        >>> grasp(torch.tensor([2.0, 2.0]), Evidence(torch.Generator(), found))
        tensor([ 6., -2.])
    """
    return weight.detach() * evidence.hessian_gradient
