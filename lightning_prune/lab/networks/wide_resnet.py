"""Wide residual networks of depth 6n+4, which are shallower than a ResNet and many times as wide."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.initialization import kaiming_normal_


class WideResNet(nn.Module):
    """WRN-depth-widen: the CIFAR networks with BatchNorm and ReLU *before* every convolution.

    Args:
        depth: Number of convolutions on the longest path: 6n+4 with n >= 1.
        widen: Factor by which the network is wider than a ResNet, at least 1. The
            stages have 16, 32 and 64 times ``widen`` filters.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        dropout: Probability in [0, 1) to drop a value between the two convolutions of a block.

    Raises:
        ValueError: If ``depth`` is not 6n+4, ``dropout`` is outside [0, 1), or another argument is below 1.

    Example:
        >>> sum(weight.numel() for weight in WideResNet(depth=16, widen=8).parameters())
        10961370
        >>> WideResNet(depth=18)
        Traceback (most recent call last):
        lightning_prune.UserError: WideResNet(depth=18): `depth` must be 6n+4: 10, 16, 22, 28, 40 and so on.

    Reference:
        Zagoruyko and Komodakis, "Wide Residual Networks", 2016, https://arxiv.org/abs/1605.07146
    """

    def __init__(
        self, depth: int = 16, widen: int = 8, classes: int = 10, channels: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_numbers("WideResNet", {"depth": depth, "dropout": dropout})
        require(depth >= 10 and depth % 6 == 4, "WideResNet", "depth", depth, "be 6n+4: 10, 16, 22, 28, 40 and so on")
        require(0 <= dropout < 1, "WideResNet", "dropout", dropout, "lie in [0, 1)")
        require_positive("WideResNet", widen=widen, classes=classes, channels=channels)
        blocks = (depth - 4) // 6
        self.stem = convolution(channels, 16)
        self.stages = nn.Sequential(
            stage(16, 16 * widen, blocks, stride=1, dropout=dropout),
            stage(16 * widen, 32 * widen, blocks, stride=2, dropout=dropout),
            stage(32 * widen, 64 * widen, blocks, stride=2, dropout=dropout),
        )
        self.norm = nn.BatchNorm2d(64 * widen)
        self.classifier = nn.Linear(64 * widen, classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to class scores ``[N, classes]``."""
        features = functional.relu(self.norm(self.stages(self.stem(images))))
        return cast(Tensor, self.classifier(features.mean(dim=(2, 3))))


class WideBlock(nn.Module):
    """BatchNorm, ReLU and convolution, twice, with dropout between, and the shortcut around them.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        stride: Stride of the first convolution and of the shortcut.
        dropout: Probability in [0, 1) to drop a value between the convolutions.

    Example:
        >>> import torch
        >>> WideBlock(16, 32, stride=2, dropout=0.0)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 32, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            convolution(outputs, outputs),
        )
        self.changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if self.changes else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        activated = functional.relu(self.norm(images))
        # As in the authors' code, only a projection gets the activation. The identity keeps the raw signal.
        around = self.shortcut(activated if self.changes else images)
        return cast(Tensor, self.residual(activated) + around)


def stage(inputs: int, outputs: int, blocks: int, stride: int, dropout: float) -> nn.Sequential:
    """Chain ``blocks`` blocks, of which the first changes the shape."""
    first = WideBlock(inputs, outputs, stride, dropout)
    return nn.Sequential(first, *(WideBlock(outputs, outputs, 1, dropout) for _ in range(blocks - 1)))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution without bias, because a BatchNorm comes before and after it."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
