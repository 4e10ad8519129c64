"""Small networks with structures, and runs that prune them."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, seed_everything
from torch import Tensor, nn

KINDS = 3


class Block(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.second, self.norm2 = nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.short = nn.Identity() if width == out else nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.sigmoid(self.norm1(self.first(x)))  # not zero at zero: only the columns hide a dead unit
        return torch.relu(self.norm2(self.second(inner)) + self.short(x))


class Residual(nn.Module):
    """A stem, a block on its stream, a wider one, and a head behind a flatten: single and coupled groups.

    No bias stands before a BatchNorm: its gradient is zero, and Adam would divide rounding errors by each other.
    """

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(Block(width, width), Block(width, 2 * width))
        self.depth = nn.Conv2d(2 * width, 2 * width, 3, groups=2 * width)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * width, 10), nn.Tanh(), nn.Linear(10, KINDS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.depth(self.body(self.stem(x))))


class Structured(LightningModule):
    """A network with structures, on 6x6 images of three classes."""

    def __init__(self, network: nn.Module | None = None, optimizer: Any = None, example: bool = False) -> None:
        super().__init__()
        self.net = Residual() if network is None else network
        self.make_optimizer = optimizer or (
            lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)
        )
        if example:
            self.example_input_array = torch.zeros(1, 1, 6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return self.make_optimizer(self.parameters())


def structured(**options: Any) -> Structured:
    seed_everything(0, verbose=False)
    return Structured(**options)
