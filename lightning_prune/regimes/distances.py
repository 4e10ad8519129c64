"""How far two networks are from each other: the distance between their weights."""

import torch
from torch import nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.two_networks import Given, network_of
from lightning_prune.selection.parameters import plain_name


def weight_distance(a: Given, b: Given, network: nn.Module | None = None) -> float:
    """Measure the Euclidean distance between the parameters of two networks. Buffers do not count.

    Args:
        a: The first network: a module, or the path of a checkpoint.
        b: The second one, of the same shapes.
        network: A module like those in the checkpoints, if ``a`` or ``b`` is one.

    Raises:
        ValueError: If the networks have other names or shapes.

    Example:
        >>> first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = first.weight.copy_(torch.tensor([[3.0, 0.0]])), second.weight.copy_(torch.tensor([[0.0, 4.0]]))
        >>> weight_distance(first, second)
        5.0
    """
    one, other = (
        {plain_name(name): weight.detach().double().cpu() for name, weight in found.named_parameters()}
        for found in (network_of(given, network, "weight_distance") for given in (a, b))
    )
    if {name: weight.shape for name, weight in one.items()} != {name: weight.shape for name, weight in other.items()}:
        raise UserError("weight_distance(a, b) needs networks of the same shapes. Give two copies of one network.")
    squares = [(one[name] - other[name]).abs().square().sum() for name in one]
    return float(torch.stack(squares).sum().sqrt())
