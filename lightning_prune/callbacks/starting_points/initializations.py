"""Initialize the weights of a pruned network, in place. Dead weights are zero.

To add an initialization, write a function that takes a module, and give it to ``Reinitialize(initialize=...)`` or
``ScratchTrain``. They call the function after the layers' own ``reset_parameters``, so the function does not have to
set every parameter.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

Initialization = Callable[[nn.Module], None]


def sparse_fan_in_(network: nn.Module) -> None:
    """Draw the living weights of every convolution from N(0, 2 / n). The fewer weights live, the larger the variance.

    ``n`` is the number of living weights divided by the number of input channels. The authors call ``n`` the fan-in of
    the sparse layer. Other layers do not change, and neither do convolutions without living weights.

    Args:
        network: The network. Its dead weights are zero.

    Example:
        >>> layer = nn.Conv2d(8, 64, 3, bias=False)
        >>> with torch.no_grad():
        ...     _ = layer.weight.mul_(torch.rand_like(layer.weight) < 0.1)
        >>> alive = layer.weight != 0
        >>> sparse_fan_in_(layer)
        >>> torch.equal(layer.weight != 0, alive), bool(layer.weight.std() > 0.02)
        (True, True)

    Reference: Liu, Sun, Zhou, Huang & Darrell, Rethinking the Value of Network Pruning, 2019,
    https://arxiv.org/abs/1810.05270, as in the authors' code for unstructured pruning.
    """
    for layer in network.modules():
        if isinstance(layer, _ConvNd):
            alive = layer.weight != 0
            fan = int(alive.sum()) / layer.in_channels
            if fan:
                with torch.no_grad():
                    layer.weight.normal_(0.0, math.sqrt(2 / fan)).mul_(alive)
