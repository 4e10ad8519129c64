"""Densely connected networks of depth 3n+4 for small images, in which every layer sees all layers before it."""

from typing import cast

import torch
from torch import Tensor, nn

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.initialization import kaiming_normal_


class DenseNet(nn.Module):
    """The CIFAR DenseNets without bottlenecks. Papers prune DenseNet-40 with growth 12.

    Args:
        depth: Number of layers with weights: 3n+4 with n >= 1 in each of the three blocks.
        growth: Feature maps that a layer adds, at least 1.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        width: Filters of the first convolution, at least 1. The paper uses 16.
        dropout: Probability in [0, 1) to drop a value after a convolution. The paper uses 0.2 for data without
            augmentation.

    Raises:
        ValueError: If ``depth`` is not 3n+4, ``dropout`` is outside [0, 1), or another argument is below 1.

    Example:
        >>> sum(weight.numel() for weight in DenseNet(depth=40).parameters())
        1019722
        >>> DenseNet(depth=41)
        Traceback (most recent call last):
        lightning_prune.UserError: DenseNet(depth=41): `depth` must be 3n+4: 22, 40, 100 and so on.

    Reference:
        Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks", 2017,
        https://arxiv.org/abs/1608.06993
    """

    def __init__(
        self,
        depth: int = 40,
        growth: int = 12,
        classes: int = 10,
        channels: int = 3,
        width: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_numbers("DenseNet", {"depth": depth, "dropout": dropout})
        require(depth >= 7 and depth % 3 == 1, "DenseNet", "depth", depth, "be 3n+4: 22, 40, 100 and so on")
        require(0 <= dropout < 1, "DenseNet", "dropout", dropout, "lie in [0, 1)")
        require_positive("DenseNet", growth=growth, classes=classes, channels=channels, width=width)
        layers = (depth - 4) // 3
        widths = [width + block * layers * growth for block in range(4)]
        self.stem = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            dense_block(widths[0], layers, growth, dropout),
            transition(widths[1], dropout),
            dense_block(widths[1], layers, growth, dropout),
            transition(widths[2], dropout),
            dense_block(widths[2], layers, growth, dropout),
        )
        self.norm = nn.Sequential(nn.BatchNorm2d(widths[3]), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(widths[3], classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]``, at least 4x4, to class scores ``[N, classes]``."""
        features = self.norm(self.blocks(self.stem(images)))
        return cast(Tensor, self.classifier(features.mean(dim=(2, 3))))


class DenseLayer(nn.Module):
    """BatchNorm, ReLU and convolution, whose output is appended to the input.

    Args:
        inputs: Number of input channels.
        growth: Number of channels that are appended.
        dropout: Probability in [0, 1) to drop a value that is appended.

    Example:
        >>> DenseLayer(16, 12, dropout=0.0)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 28, 8, 8])
    """

    def __init__(self, inputs: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.added = convolution(inputs, growth, size=3, dropout=dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, inputs + growth, H, W]``."""
        return torch.cat([images, self.added(images)], dim=1)


def dense_block(inputs: int, layers: int, growth: int, dropout: float) -> nn.Sequential:
    """Chain ``layers`` layers, each of which sees all layers before it."""
    return nn.Sequential(*(DenseLayer(inputs + layer * growth, growth, dropout) for layer in range(layers)))


def transition(inputs: int, dropout: float) -> nn.Sequential:
    """Mix the channels with a 1x1 convolution and halve the image."""
    return nn.Sequential(convolution(inputs, inputs, size=1, dropout=dropout), nn.AvgPool2d(2))


def convolution(inputs: int, outputs: int, size: int, dropout: float) -> nn.Sequential:
    """Make a convolution that keeps the size of the image, with BatchNorm and ReLU before it and dropout after it."""
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(),  # not in place, because later layers need the values, too
        nn.Conv2d(inputs, outputs, kernel_size=size, padding=size // 2, bias=False),
        nn.Dropout(dropout),
    )
