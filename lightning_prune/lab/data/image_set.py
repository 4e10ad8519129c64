"""Sets of images in memory or on disk, which give whole batches of bytes.

A loader asks for a batch by its indices (``__getitems__``) and gets two tensors:
images, uint8 ``[N, C, H, W]``, and labels, int64 ``[N]``. No images are collated one by one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_prune.basics.checks import require
from lightning_prune.lab.data.decoding import Decoder

Batch = tuple[Tensor, Tensor]


class ImageSet(Dataset[Batch], ABC):
    """A set of labeled images. An index gives one image with its label, and a list of indices gives a batch."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitems__(self, indices: Sequence[int]) -> Batch: ...

    def __getitem__(self, index: int) -> Batch:
        images, labels = self.__getitems__([index])
        return images[0], labels[0]


class ImagesInMemory(ImageSet):
    """The whole set as two tensors, where one indexing makes a batch.

    Args:
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``.

    Raises:
        ValueError: If there are not as many labels as images, or the images are not bytes ``[N, C, H, W]``.

    Example:
        >>> images = ImagesInMemory(torch.zeros(9, 3, 4, 4, dtype=torch.uint8), torch.arange(9))
        >>> images.__getitems__([8, 0])[1]
        tensor([8, 0])
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        described = f"{images.dtype} {list(images.shape)}"
        bytes_in_four_axes = images.ndim == 4 and images.dtype == torch.uint8
        require(bytes_in_four_axes, "ImagesInMemory", "images", described, "be torch.uint8 [N, C, H, W]")
        require(len(labels) == len(images), "ImagesInMemory", "labels", len(labels), f"be {len(images)}, one an image")
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        device = self.images.device
        # A blocking copy of the indices would make the host wait for the GPU in every batch. Devices other than CUDA
        # may read a temporary tensor like this one too late, so they get a blocking copy.
        chosen = torch.as_tensor(indices).to(device, non_blocking=device.type == "cuda")
        return self.images[chosen], self.labels[chosen]

    def move_(self, device: torch.device) -> None:
        """Move images and labels to ``device``. Tensors that are there already are not copied."""
        self.images = self.images.to(device)
        self.labels = self.labels.to(device)


class ImagesOnDisk(ImageSet):
    """A list of files. A batch is decoded when it is needed, in the loader's worker processes.

    Args:
        files: Path and label of every image.
        decoder: Turns a file into uint8 ``[C, H, W]``, of the same shape for all.

    Example:
        >>> len(ImagesOnDisk([(Path("cat/1.png"), 0)], Decoder(size=32, channels=3)))
        1
    """

    def __init__(self, files: Sequence[tuple[Path, int]], decoder: Decoder) -> None:
        self.files = files
        self.decoder = decoder

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        paths, labels = zip(*(self.files[index] for index in indices), strict=True)
        return torch.stack([self.decoder(path) for path in paths]), torch.tensor(labels)


def batches(
    images: Dataset[Batch], batch_size: int, shuffle: bool = False, workers: int = 0, on_device: bool = False
) -> DataLoader[Batch]:
    """Make an ordinary loader over a set that gives whole batches. Lightning can replace the loader's sampler.

    Args:
        images: An ``ImageSet``, or a ``Subset`` of one.
        batch_size: Images in a batch, at least 1. The last batch may be smaller.
        shuffle: Whether every epoch has a new order, drawn from torch's global generator.
        workers: Number of processes that load. 0 loads in the current process.
        on_device: Whether the images are on the device that trains. Then batches are not pinned in host memory.

    Returns:
        A loader of (images, labels) batches.

    Example:
        >>> images = ImagesInMemory(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.arange(5))
        >>> [labels.tolist() for _, labels in batches(images, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=already_a_batch,
        pin_memory=torch.cuda.is_available() and not on_device,
    )


def already_a_batch(batch: Any) -> Any:
    """Return the batch unchanged, because ``__getitems__`` has already collated it."""
    return batch
