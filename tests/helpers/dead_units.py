"""Networks with dead units, for tests of their removal."""

import torch
from torch import Tensor, nn

from lightning_prune.lab.networks import LeNet300100
from lightning_prune.lab.networks.convnet import ConvNet
from lightning_prune.lab.networks.resnet import ResNet
from lightning_prune.structures.groups import FoundStructures


def half_alive(found: FoundStructures, fraction: float = 0.5, seed: int = 0) -> dict[str, Tensor]:
    """In every group, a fraction of the units dead, drawn at random, and at least one alive."""
    generator = torch.Generator().manual_seed(seed)
    alive = {}
    for name, group in found.groups.items():
        alive[name] = torch.ones(group.width, dtype=torch.uint8)
        dead = min(int(group.width * fraction), group.width - 1)
        alive[name][torch.randperm(group.width, generator=generator)[:dead]] = 0
    return alive


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Numbers other than 0 and 1 in every parameter and every statistic, so that nothing is exact by accident."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype) + 0.5)
    return network


def residual() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomized(ResNet(8, channels=1, width=8).double()), torch.randn(4, 1, 8, 8).double()


def convolutional() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomized(ConvNet(channels=1, width=6).double()), torch.randn(4, 1, 8, 8).double()


def fully_connected() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return randomized(LeNet300100(inputs=64).double()), torch.randn(4, 1, 8, 8).double()


class Split(nn.Module):
    """Its forward has a size of its own: a literal, unless it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.half = nn.Linear(6, 8), nn.Linear(8, 3), 8

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.first(x))
        return self.last(hidden.view(len(x), self.half))


class WithSplit(nn.Module):
    """A block with a literal size between layers that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.block, self.after = nn.Linear(5, 6), Split(), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.block(self.before(x).relu()).relu())
