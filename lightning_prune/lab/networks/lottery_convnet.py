"""Conv-2, Conv-4 and Conv-6: the small VGGs without BatchNorm of the lottery-ticket paper."""

from typing import cast

from torch import Tensor, nn

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.networks.initialization import glorot_normal_


class LotteryConvNet(nn.Module):
    """Pairs of 3x3 convolutions with a pooling after each pair, then linear layers of 256, 256 and ``classes`` units.

    Conv-2 and Conv-4 have as many weights as the paper counts. Conv-6 has 2.3 million weights here, but the paper
    counts 1.7 million.

    Args:
        convolutions: Number of convolutions: 2, 4 or 6. Each pair has twice as many filters as the pair before.
        classes: Number of classes, at least 1.
        channels: Channels of an image: 1 for gray, 3 for color. At least 1.
        size: Height and width of an image in pixels, a multiple of 2 for each pair of convolutions.
        width: Filters of the first pair, at least 1.

    Raises:
        ValueError: If ``convolutions`` is not one of the three, ``size`` does not halve often enough, or another
            argument is below 1.

    Example:
        >>> [sum(weight.numel() for weight in LotteryConvNet(depth).parameters()) for depth in (2, 4, 6)]
        [4301642, 2425930, 2262602]
        >>> LotteryConvNet(convolutions=3)
        Traceback (most recent call last):
        lightning_prune.UserError: LotteryConvNet(convolutions=3): `convolutions` must be 2, 4 or 6.

    Reference:
        Frankle and Carbin, "The Lottery Ticket Hypothesis", 2019, https://arxiv.org/abs/1803.03635 (figure 2)
    """

    def __init__(
        self, convolutions: int = 6, classes: int = 10, channels: int = 3, size: int = 32, width: int = 64
    ) -> None:
        super().__init__()
        check_numbers("LotteryConvNet", {"convolutions": convolutions})
        pairs = convolutions // 2
        require(convolutions in (2, 4, 6), "LotteryConvNet", "convolutions", convolutions, "be 2, 4 or 6")
        require_positive("LotteryConvNet", classes=classes, channels=channels, size=size, width=width)
        require(size % 2**pairs == 0, "LotteryConvNet", "size", size, f"be a multiple of {2**pairs}")
        layers: list[nn.Module] = []
        for pair in range(pairs):
            filters = width * 2**pair
            layers += [*_convolution(channels, filters), *_convolution(filters, filters), nn.MaxPool2d(2)]
            channels = filters
        self.features = nn.Sequential(*layers, nn.Flatten())
        pixels = (size // 2**pairs) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(channels * pixels, 256), nn.ReLU(inplace=True), nn.Linear(256, 256), nn.ReLU(inplace=True)
        )
        self.classifier = nn.Linear(256, classes)
        glorot_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, channels, size, size]`` to class scores ``[N, classes]``."""
        return cast(Tensor, self.classifier(self.hidden(self.features(images))))


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.ReLU(inplace=True)
