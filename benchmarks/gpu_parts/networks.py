"""The networks and modules that the parts train, on images that lie on the device."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torchvision
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_prune.lab.networks.resnet import ResNet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-20": lambda: ResNet(depth=20),
    "ResNet-50": torchvision.models.resnet50,
    "ViT-B/16": torchvision.models.vit_b_16,
}
PIXELS = {"ResNet-20": 32, "ResNet-50": 224, "ViT-B/16": 224}


class Batches:
    """The same images, batch after batch, on the device: a loader that costs nothing.

    Args:
        images: The images, ``[batches * size, channels, height, width]``.
        labels: Their classes.
        size: The number of images of a batch.
    """

    def __init__(self, images: Tensor, labels: Tensor, size: int) -> None:
        self.batches = list(zip(images.split(size), labels.split(size), strict=True))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.batches)


class Images(LightningModule):
    """A network under SGD with momentum or AdamW, trained on generated images.

    Args:
        network: The network.
        pixels: Height and width of an image.
        batch: The number of images of a batch.
        steps: The number of batches of an epoch.
        device: Where the images lie.
        optimizer: ``"foreach"`` for SGD with multi-tensor steps, ``"fused"`` for fused AdamW.
        channels_last: Whether network and images lie in this memory format.
    """

    def __init__(
        self,
        network: nn.Module,
        pixels: int,
        batch: int,
        steps: int,
        device: torch.device,
        optimizer: str = "foreach",
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=layout)
        draw = torch.Generator().manual_seed(1)
        images = torch.randn(min(steps, 4) * batch, 3, pixels, pixels, generator=draw)
        labels = torch.randint(10, (len(images),), generator=draw)
        parts = Batches(images.to(device).contiguous(memory_format=layout), labels.to(device), batch).batches
        self.loader = Batches(images[:1], labels[:1], 1)
        self.loader.batches = [parts[index % len(parts)] for index in range(steps)]
        self.optimizer = optimizer

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.optimizer == "fused":
            return torch.optim.AdamW(self.parameters(), lr=1e-3, fused=True)
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, foreach=True)

    def train_dataloader(self) -> Batches:
        return self.loader
