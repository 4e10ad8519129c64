"""LeNet-300-100, the fully connected network on which pruning is usually tried first."""

from typing import cast

from torch import Tensor, nn

from lightning_prune.basics.checks import require_positive
from lightning_prune.lab.networks.initialization import glorot_normal_


class LeNet300100(nn.Module):
    """Two hidden layers of 300 and 100 units with ReLU, initialized as in the lottery-ticket paper.

    Args:
        inputs: Number of pixels of an image, all channels together: 784 for
            28x28 digits, 64 for 8x8 ones. At least 1.
        classes: Number of classes, at least 1.

    Raises:
        ValueError: If an argument is below 1.

    Example:
        >>> import torch
        >>> LeNet300100(inputs=64)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])

    Reference:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998,
        https://doi.org/10.1109/5.726791. The initialization is that of Frankle and Carbin, "The Lottery Ticket
        Hypothesis", 2019, https://arxiv.org/abs/1803.03635
    """

    def __init__(self, inputs: int = 784, classes: int = 10) -> None:
        super().__init__()
        require_positive("LeNet300100", inputs=inputs, classes=classes)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, 300),
            nn.ReLU(inplace=True),
            nn.Linear(300, 100),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(100, classes)
        glorot_normal_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, ...]`` of ``inputs`` pixels each to class scores ``[N, classes]``."""
        return cast(Tensor, self.classifier(self.hidden(images)))
