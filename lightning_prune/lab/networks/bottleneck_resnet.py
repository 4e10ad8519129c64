"""Residual networks with bottlenecks for small images: blocks of three convolutions, the first and the last 1x1."""

from typing import cast

from torch import Tensor, nn

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.initialization import kaiming_normal_
from lightning_prune.lab.networks.resnet import Block, convolution, stage

WIDENING = 4  # a block puts out four times the channels that its 3x3 convolution has


class BottleneckResNet(nn.Module):
    """The CIFAR ResNets with bottlenecks and projection shortcuts.

    Le and Hua prune the network of depth 83 under the name ResNet-56. Like a ResNet-56 it has nine blocks per stage,
    but with three convolutions in each block. Together with its three projections it has 85 convolutions.

    Args:
        depth: Number of layers with weights on the main path: 9n+2 with n >= 1 blocks in each of the three stages.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        width: Filters of the first convolution and of the 3x3 convolutions of the first stage, at least 1. The 3x3
            convolutions of the other stages have 2 and 4 times as many.

    Raises:
        ValueError: If ``depth`` is not 9n+2, or another argument is below 1.

    Example:
        >>> sum(weight.numel() for weight in BottleneckResNet(depth=83).parameters())
        869530
        >>> BottleneckResNet(depth=82)
        Traceback (most recent call last):
        lightning_prune.UserError: BottleneckResNet(depth=82): `depth` must be 9n+2: 11, 20, 29, 38 and so on.

    Reference:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016,
        https://arxiv.org/abs/1512.03385 (figure 5). The version for CIFAR follows the code of Le and Hua, "Network
        Pruning That Matters", 2021, https://arxiv.org/abs/2105.03193
    """

    def __init__(self, depth: int = 83, classes: int = 10, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        expected = "be 9n+2: 11, 20, 29, 38 and so on"
        check_numbers("BottleneckResNet", {"depth": depth})
        require(depth >= 11 and depth % 9 == 2, "BottleneckResNet", "depth", depth, expected)
        require_positive("BottleneckResNet", classes=classes, channels=channels, width=width)
        blocks = (depth - 2) // 9
        widths = [WIDENING * width, 2 * WIDENING * width, 4 * WIDENING * width]
        self.stem = nn.Sequential(convolution(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(
            stage(width, widths[0], blocks, stride=1, shortcut="projection", block=Bottleneck),
            stage(widths[0], widths[1], blocks, stride=2, shortcut="projection", block=Bottleneck),
            stage(widths[1], widths[2], blocks, stride=2, shortcut="projection", block=Bottleneck),
        )
        self.classifier = nn.Linear(widths[2], classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to class scores ``[N, classes]``."""
        features = self.stages(self.stem(images))
        return cast(Tensor, self.classifier(features.mean(dim=(2, 3))))


class Bottleneck(Block):
    """A 1x1, a 3x3 and a 1x1 convolution, and the shortcut around them. The stride is in the 3x3 convolution.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels, a multiple of 4. The convolutions inside have a quarter of them.
        stride: Stride of the 3x3 convolution and of the shortcut.
        shortcut: Kind of shortcut, as in ``Block``.

    Example:
        >>> import torch
        >>> Bottleneck(16, 64, stride=2, shortcut="projection")(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 64, 4, 4])
    """

    @staticmethod
    def convolutions(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        """Make the convolutions that the shortcut bypasses."""
        inside = outputs // WIDENING
        return nn.Sequential(
            nn.Conv2d(inputs, inside, kernel_size=1, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            convolution(inside, inside, stride),
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            nn.Conv2d(inside, outputs, kernel_size=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
