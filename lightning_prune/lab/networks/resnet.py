"""Residual networks of depth 6n+2 for small images: three stages of blocks with two convolutions."""

from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.initialization import kaiming_normal_

Shortcut = Literal["padding", "projection", "stage-projection"]


class ResNet(nn.Module):
    """The CIFAR ResNets: ResNet-20, -32, -44, -56, -110.

    Args:
        depth: Number of layers with weights on the main path: 6n+2 with n >= 1.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        width: Filters of the first stage, at least 1. The other stages have 2 and 4 times as many.
        shortcut: Kind of shortcut at the beginning of a stage. ``"padding"`` skips
            every other pixel and adds channels of zeros, without parameters. This is
            the paper's option A and its choice for CIFAR. ``"projection"`` is a 1x1
            convolution with BatchNorm, the paper's option B. ``"stage-projection"``
            begins every stage with this convolution, even the first stage, where
            nothing widens. TensorFlow's official ResNet does the same.

    Raises:
        ValueError: If ``depth`` is not 6n+2, ``shortcut`` is unknown, or another argument is below 1.

    Example:
        >>> sum(weight.numel() for weight in ResNet(depth=20).parameters())
        269722
        >>> ResNet(depth=21)
        Traceback (most recent call last):
        lightning_prune.UserError: ResNet(depth=21): `depth` must be 6n+2: 20, 32, 44, 56, 110 and so on.

    Reference:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016,
        https://arxiv.org/abs/1512.03385 (section 4.2)
    """

    def __init__(
        self,
        depth: int = 20,
        classes: int = 10,
        channels: int = 3,
        width: int = 16,
        shortcut: Shortcut = "padding",
    ) -> None:
        super().__init__()
        check_numbers("ResNet", {"depth": depth})
        require(depth >= 8 and depth % 6 == 2, "ResNet", "depth", depth, "be 6n+2: 20, 32, 44, 56, 110 and so on")
        require(shortcut in SHORTCUTS, "ResNet", "shortcut", shortcut, f"be one of {', '.join(SHORTCUTS)}")
        require_positive("ResNet", classes=classes, channels=channels, width=width)
        blocks = (depth - 2) // 6
        self.stem = nn.Sequential(convolution(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(
            stage(width, width, blocks, stride=1, shortcut=shortcut),
            stage(width, 2 * width, blocks, stride=2, shortcut=shortcut),
            stage(2 * width, 4 * width, blocks, stride=2, shortcut=shortcut),
        )
        self.classifier = nn.Linear(4 * width, classes)
        kaiming_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to class scores ``[N, classes]``."""
        features = self.stages(self.stem(images))
        return cast(Tensor, self.classifier(features.mean(dim=(2, 3))))


class Block(nn.Module):
    """Two 3x3 convolutions, and the shortcut around them.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        stride: Stride of the first convolution and of the shortcut.
        shortcut: Kind of shortcut if the shape changes. If the shape stays the same, the shortcut is the identity,
            except with ``"stage-projection"``, which still uses a convolution.

    Example:
        >>> import torch
        >>> Block(16, 32, stride=2, shortcut="padding")(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 32, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.residual = self.convolutions(inputs, outputs, stride)
        changes = stride != 1 or inputs != outputs or shortcut == "stage-projection"
        self.shortcut = SHORTCUTS[shortcut](inputs, outputs, stride) if changes else nn.Identity()

    @staticmethod
    def convolutions(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        """Make the convolutions that the shortcut bypasses."""
        return nn.Sequential(
            convolution(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            convolution(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        return functional.relu(self.residual(images) + self.shortcut(images))


class PaddingShortcut(nn.Module):
    """Skip pixels and append channels of zeros. This widens an image without parameters.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels, at least ``inputs``.
        stride: Distance between the pixels that are kept.

    Example:
        >>> import torch
        >>> PaddingShortcut(1, 2, stride=2)(torch.ones(1, 1, 2, 2)).flatten()
        tensor([1., 0.])
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.extra = outputs - inputs
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        kept = images[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.extra))


class ProjectionShortcut(nn.Sequential):
    """A 1x1 convolution with BatchNorm.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        stride: Stride of the convolution.

    Example:
        >>> import torch
        >>> ProjectionShortcut(16, 32, stride=2)(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 32, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


SHORTCUTS: dict[Shortcut, type[nn.Module]] = {
    "padding": PaddingShortcut,
    "projection": ProjectionShortcut,
    "stage-projection": ProjectionShortcut,
}


def stage(
    inputs: int, outputs: int, blocks: int, stride: int, shortcut: Shortcut, block: type[Block] = Block
) -> nn.Sequential:
    """Chain ``blocks`` blocks. The first changes the shape, and the others have the identity as shortcut."""
    first = block(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, outputs, 1, "padding") for _ in range(blocks - 1)))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution without bias, because a BatchNorm follows."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
