"""Score weights by gradients of the loss on batches of training data."""

from torch import Tensor

from lightning_prune.criteria.declared import elementwise, needs
from lightning_prune.criteria.evidence import Evidence


@elementwise
@needs("gradient")
def gradient(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights with the steepest gradient: ``|g|``.

    Reference: Blalock et al., What is the State of Neural Network Pruning?, 2020, https://arxiv.org/abs/2003.03033,
    whose own gradient criterion is :func:`gradient_magnitude`. One batch is our choice and does not come from a paper.

    Args:
        weight: The weight, of any shape. Its values are not used.
        evidence: The mean gradient over the batches (1 batch, or another number with ``OnBatches``).

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
    """Keep the weights whose removal changes the loss most, to first order: ``|g w|``.

    Reference: Blalock et al., What is the State of Neural Network Pruning?, 2020, https://arxiv.org/abs/2003.03033
    (their code, ShrinkBench, also takes the gradient of one batch).

    Args:
        weight: The weight, of any shape.
        evidence: The mean gradient over the batches (1 batch, or another number with ``OnBatches``).

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
    """Keep the weights with the largest expected squared change of the loss: the mean over batches of ``(g w)^2``.

    The authors prune every 30 batches on ImageNet, so the default here is 30 batches. They also keep a running mean
    over prunes (momentum 0.9). We leave this mean out, because here prunes are whole cycles apart.

    Reference: Molchanov et al., Importance Estimation for Neural Network Pruning, 2019,
    https://arxiv.org/abs/1906.10771. This is method 0 of their code, which sums the score over each filter. The paper
    prefers gates behind BatchNorm, which have another score: the square of the loss's derivative by the gate.

    Args:
        weight: The weight, of any shape.
        evidence: The mean squared gradient over the batches (30 batches, or another number with ``OnBatches``).

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

    This derivative is ``|g w|``. BatchNorm uses its running statistics. The paper divides by the sum over the network,
    which does not change the ranking. The paper also counts biases as connections. Here ``prunable`` decides this.

    Reference: Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019,
    https://arxiv.org/abs/1810.02340.

    Args:
        weight: The weight, of any shape.
        evidence: The mean gradient over the batches (1 batch, or another number with ``OnBatches``). A batch has
            the size used in training. The authors' code uses 100 examples.

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
    """Keep the weights whose removal would weaken the gradient flow most: ``w * (H g)``, signed.

    The paper scores ``-w * (H g)`` and removes the largest scores, so the sign is reversed here. The authors take a
    number of examples of every class, in two halves. Here the two halves are two batches. Their function takes 25
    examples by default. Their released configs take 10 on CIFAR-10, 5 or 10 on CIFAR-100, and 1 on ImageNet. The
    authors also divide the logits by a temperature of 200. This criterion sees only the loss, so divide the logits in
    ``training_step`` to do the same.

    Reference: Wang, Zhang & Grosse, Picking Winning Tickets Before Training by Preserving Gradient Flow, 2020,
    https://arxiv.org/abs/2002.07376.

    Args:
        weight: The weight, of any shape.
        evidence: The product of Hessian and gradient over the batches (2 batches, or another number with
            ``OnBatches``).

    Returns:
        Scores of the weight's shape, positive or negative.

    Example:
        >>> import torch
        >>> found = {"hessian_gradient": torch.tensor([3.0, -1.0])}
        >>> grasp(torch.tensor([2.0, 2.0]), Evidence(torch.Generator(), found))
        tensor([ 6., -2.])
    """
    return weight.detach() * evidence.hessian_gradient
