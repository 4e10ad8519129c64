"""How much each weight matters: pure functions from a weight to scores.

Every criterion has the same signature, returns a finite tensor of the weight's
shape and leaves the weight alone; a higher score means "keep". To add one,
write the function.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """What a criterion may look at besides the weight itself.

    Args:
        generator: The source of all randomness, on the CPU: seeded by seed, cycle and tensor, so the same on every
            process.
    """

    generator: torch.Generator


Criterion = Callable[[Tensor, Evidence], Tensor]


def elementwise(criterion: Criterion) -> Criterion:
    """Declare that each score depends on its own weight alone: it is then computed in pieces, which is faster.

    Args:
        criterion: The criterion.

    Returns:
        The same criterion.
    """
    criterion.is_elementwise = True  # type: ignore[attr-defined]
    return criterion


def is_elementwise(criterion: Criterion) -> bool:
    """Whether a criterion was declared :func:`elementwise`."""
    return getattr(criterion, "is_elementwise", False)


@elementwise
def magnitude(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the largest: ``|w|``.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        weight: The weight, of any shape.
        evidence: Not looked at.

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> magnitude(torch.tensor([1.0, -3.0, 0.0]), Evidence(torch.Generator()))
        tensor([1., 3., 0.])
    """
    return weight.detach().abs()


def random(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep any: the baseline that every criterion has to beat.

    Reference: Liu et al., Rethinking the Value of Network Pruning, 2019, https://arxiv.org/abs/1810.05270.

    Args:
        weight: The weight, of any shape; its values are not looked at.
        evidence: The generator is used.

    Returns:
        Scores of the weight's shape, uniform in [0, 1).

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> random(torch.ones(2, 2), Evidence(generator)).shape
        torch.Size([2, 2])
    """
    return torch.rand(weight.shape, generator=evidence.generator).to(weight.device)
