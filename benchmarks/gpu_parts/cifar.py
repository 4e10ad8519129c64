"""CIFAR-10 as two tensors on the device, and a ResNet-20 that augments its batches there."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from torch import Tensor, nn

from benchmarks.gpu_parts.networks import Batches
from lightning_prune.lab.networks.resnet import ResNet

MEAN, SPREAD = (0.4913, 0.4821, 0.4465), (0.2452, 0.2428, 0.2606)


def read_once(data: Path | None, out: Path, small: bool) -> Path:
    """Decode the images into one file, or take the file that an earlier run has left.

    Args:
        data: A folder or an archive with ``train/<class>/*.jpg`` and ``test/<class>/*.jpg``. None: generated images.
        out: The folder of the file.
        small: Whether a few images do.

    Returns:
        The path of an ``.npz`` file with ``train``, ``train_labels``, ``test`` and ``test_labels``.
    """
    path = out / ("cifar.npz" if data else "generated.npz")
    if path.exists():
        return path
    if data is None:
        arrays = generated(64 if small else 4096)
    else:
        folder = unpacked(data, out)
        arrays = {}
        for part in ("train", "test"):
            arrays[part], arrays[f"{part}_labels"] = decoded(folder / part)
    aside = path.with_suffix(".part.npz")
    np.savez(aside, **arrays)
    aside.replace(path)
    return path


def unpacked(data: Path, out: Path) -> Path:
    """The folder that holds ``train`` and ``test``.

    Raises:
        FileNotFoundError: If there is none.
    """
    folder = data
    if data.is_file():
        folder = out / "images"
        with tarfile.open(data) as archive:
            archive.extractall(folder, filter="data")
    found = next((one.parent for one in sorted(folder.glob("**/train")) if (one.parent / "test").is_dir()), None)
    if found is None:
        raise FileNotFoundError(f"--data {data} holds no folders `train` and `test` with one folder for each class.")
    return found


def decoded(folder: Path) -> tuple[Any, Any]:
    """All images of a folder of classes, ``[images, 3, 32, 32]`` uint8, and their classes."""
    images, labels = [], []
    for label, kind in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in sorted(kind.iterdir()):
            images.append(np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1))
            labels.append(label)
    return np.stack(images), np.asarray(labels)


def generated(size: int) -> dict[str, Any]:
    """Images whose class is the brightest of ten stripes, with noise."""
    draw = np.random.default_rng(0)
    found = {}
    for part in ("train", "test"):
        labels = draw.integers(10, size=size)
        images = draw.integers(160, size=(size, 3, 32, 32))
        for image, label in zip(images, labels, strict=True):
            image[:, 3 * label : 3 * label + 3] += 60
        found |= {part: images.astype(np.uint8), f"{part}_labels": labels}
    return found


class Cifar20(LightningModule):
    """ResNet-20 under SGD with one cycle of the learning rate; crops and flips are drawn on the device.

    Args:
        path: The file of the images.
        batch: The images of a batch.
        epochs: The length of the dense run, for the schedule.
        device: Where the images lie.
    """

    def __init__(self, path: Path, batch: int, epochs: int, device: torch.device) -> None:
        super().__init__()
        self.network = ResNet(depth=20)
        self.batch, self.epochs = batch, epochs
        arrays = np.load(path)
        self.images = {part: prepared(arrays[part], device) for part in ("train", "test")}
        self.labels = {part: torch.as_tensor(arrays[f"{part}_labels"]).to(device) for part in ("train", "test")}

    @property
    def steps(self) -> int:
        """The batches of an epoch: whole ones only."""
        return len(self.labels["train"]) // self.batch

    def training_step(self, batch: Any, index: int) -> Tensor:
        if index == 0:
            self.order = torch.randperm(len(self.labels["train"]), device=self.device)
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        images = augmented(self.images["train"][chosen])
        return nn.functional.cross_entropy(self.network(images), self.labels["train"][chosen])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.4, momentum=0.9, weight_decay=5e-4, nesterov=True)
        # It ends at 1 % of the peak, or fine-tuning would repeat a rate of next to nothing.
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.4, total_steps=self.epochs * self.steps, final_div_factor=4
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> Batches:
        nothing = torch.zeros(self.steps, 1)
        return Batches(nothing, nothing, 1)

    @torch.no_grad()
    def test_accuracy(self) -> float:
        """The fraction of the test images that is classified rightly."""
        self.eval()
        parts = zip(self.images["test"].split(2000), self.labels["test"].split(2000), strict=True)
        right = sum(int((self.network(images).argmax(1) == labels).sum()) for images, labels in parts)
        self.train()
        return right / len(self.labels["test"])


def prepared(images: Any, device: torch.device) -> Tensor:
    """Normalized images on the device."""
    mean, spread = (torch.tensor(one, device=device).view(1, 3, 1, 1) for one in (MEAN, SPREAD))
    return (torch.as_tensor(images).to(device).float() / 255 - mean) / spread


def augmented(images: Tensor) -> Tensor:
    """Crop each image from itself with a border of four pixels, and flip every second one."""
    count, device = len(images), images.device
    wide = nn.functional.pad(images, (4, 4, 4, 4))
    down, right = (torch.randint(9, (count, 1), device=device) + torch.arange(32, device=device) for _ in range(2))
    flip = torch.rand(count, 1, device=device) < 0.5
    right = torch.where(flip, right.flip(1), right)
    rows = torch.arange(count, device=device)[:, None, None]
    return wide.permute(0, 2, 3, 1)[rows, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)
