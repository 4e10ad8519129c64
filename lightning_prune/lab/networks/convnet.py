"""A small convolutional network that trains in minutes on a laptop and has every kind of layer that pruning meets."""

from typing import cast

from torch import Tensor, nn

from lightning_prune.basics.checks import require_positive
from lightning_prune.lab.networks.initialization import kaiming_normal_


class ConvNet(nn.Module):
    """Three 3x3 convolutions with BatchNorm that double in width, then the mean over positions and one linear layer.

    Args:
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        classes: Number of classes, at least 1.
        width: Filters of the first convolution, at least 1. The other convolutions have 2 and 4 times as many.

    Raises:
        ValueError: If an argument is below 1.

    Example:
        >>> import torch
        >>> ConvNet(channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        require_positive("ConvNet", channels=channels, classes=classes, width=width)
        self.features = nn.Sequential(
            *convolution(channels, width),
            nn.MaxPool2d(2),
            *convolution(width, 2 * width),
            nn.MaxPool2d(2),
            *convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(4 * width, classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]``, at least 4x4, to class scores ``[N, classes]``."""
        return cast(Tensor, self.classifier(self.features(images)))


def convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """List the layers of a 3x3 convolution that keeps the size of the image.

    Args:
        inputs: Number of input channels, at least 1.
        outputs: Number of filters, at least 1.

    Returns:
        Convolution, BatchNorm and ReLU.

    Example:
        >>> len(convolution(3, 16))
        3
    """
    return (
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),  # BatchNorm has the bias
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
