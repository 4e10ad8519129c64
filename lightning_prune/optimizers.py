"""What becomes of an optimizer's state when weights die: masked, reset or kept."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import (
    ASGD,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)

# Each weight's step depends on its own gradient alone, so the gradients of dead weights disturb nobody.
_ELEMENTWISE = {SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adadelta, Adagrad, ASGD, RMSprop, Rprop}


def mask_moments_(optimizer: Optimizer, masks: Mapping[Tensor, Tensor]) -> None:
    """Set the moments of dead weights to zero, in place.

    Args:
        optimizer: The optimizer; every tensor in a weight's state with the weight's shape is masked.
        masks: Masks by weight.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.grad = torch.ones(2)
        >>> optimizer.step()
        >>> mask_moments_(optimizer, {weight: torch.tensor([1, 0], dtype=torch.uint8)})
        >>> optimizer.state[weight]["momentum_buffer"]
        tensor([1., 0.])
    """
    with torch.no_grad():
        for weight, mask in masks.items():
            for moment in optimizer.state.get(weight, {}).values():
                if isinstance(moment, Tensor) and moment.shape == weight.shape:
                    moment.mul_(mask)


def reset_(optimizer: Optimizer) -> None:
    """Forget everything the optimizer gathered, as if it were new; its parameter groups stay as they are."""
    optimizer.state.clear()


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether the step of each weight is known to depend on its own gradient alone.

    Args:
        optimizer: The optimizer.

    Returns:
        True for torch's elementwise optimizers; False for the others and for all that are not torch's own.
    """
    return type(optimizer) in _ELEMENTWISE
