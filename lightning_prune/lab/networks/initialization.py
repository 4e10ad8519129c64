"""Initialize a network's weights in place, by the rule that its paper names."""

from torch import nn


def kaiming_normal_(network: nn.Module) -> None:
    """Draw the convolutions and linear layers as He et al. do, and make every BatchNorm the identity.

    The weights of a convolution are drawn from N(0, 2 / fan_out), and those of a
    linear layer from N(0, 2 / fan_in). Every bias is zero.

    Args:
        network: The module to change. Layers of other types are not changed.

    Example:
        >>> layer = nn.Linear(100, 10)
        >>> kaiming_normal_(layer)
        >>> layer.bias.abs().max().item()
        0.0

    Reference:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def glorot_normal_(network: nn.Module) -> None:
    """Draw every convolution and linear layer from N(0, 2 / (fan_in + fan_out)), with zero biases.

    Args:
        network: The module to change. Layers of other types are not changed.

    Example:
        >>> layer = nn.Linear(100, 100)
        >>> glorot_normal_(layer)
        >>> 0.09 < layer.weight.std().item() < 0.11
        True

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        https://proceedings.mlr.press/v9/glorot10a.html
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
