"""VGG for small images: 3x3 convolutions with BatchNorm, five poolings and one linear layer."""

from typing import cast

from torch import Tensor, nn

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.convnet import convolution
from lightning_prune.lab.networks.initialization import kaiming_normal_

# Convolutions in each of the five stages. With the paper's three linear layers they add up to the paper's depth.
STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDENINGS = (1, 2, 4, 8, 8)


class VGG(nn.Module):
    """VGG-11, -13, -16 or -19 with BatchNorm and a single linear layer. The paper has three linear layers.

    ``torchvision_network("vgg19_bn")`` has the three linear layers (25088-4096-4096), dropout and 139.6 million
    parameters. Most weights of this large network are in its linear layers. So sparsities of the two networks cannot be
    compared.

    Args:
        depth: 11, 13, 16 or 19.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        width: Filters of the first stage, at least 1. The last stage has 8 times as many.

    Raises:
        ValueError: If ``depth`` is not one of the four, or another argument is below 1.

    Example:
        >>> sum(weight.numel() for weight in VGG(depth=16).parameters())
        14724042
        >>> VGG(depth=12)
        Traceback (most recent call last):
        lightning_prune.UserError: VGG(depth=12): `depth` must be one of 11, 13, 16, 19.

    Reference:
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015,
        https://arxiv.org/abs/1409.1556
    """

    def __init__(self, depth: int = 16, classes: int = 10, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        check_numbers("VGG", {"depth": depth})
        require(depth in STAGES, "VGG", "depth", depth, f"be one of {', '.join(map(str, STAGES))}")
        require_positive("VGG", classes=classes, channels=channels, width=width)
        layers: list[nn.Module] = []
        for convolutions, widening in zip(STAGES[depth], WIDENINGS, strict=True):
            for _ in range(convolutions):
                layers += convolution(channels, width * widening)
                channels = width * widening
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(channels, classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]``, at least 32x32, to class scores ``[N, classes]``."""
        return cast(Tensor, self.classifier(self.features(images)))
