"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28 pixels in gray."""

import torch
from torchvision import datasets

from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.downloaded import DownloadedImages
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization


class MNIST(DownloadedImages):
    """Gray 28x28 images of ten digits, without augmentation.

    Args:
        root: Folder of the data. It is created for a download.
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        download: Whether to download the data (about 11 MB) if ``root`` does not have it.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch. This
            needs images in memory.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> MNIST(batch_size=60).num_classes
        10

    Reference:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998,
        https://doi.org/10.1109/5.726791
    """

    num_classes = 10
    dataset = datasets.MNIST
    constants = Normalization(mean=(0.1307,), std=(0.3081,))  # Of the training images.

    def __init__(
        self,
        root: str = ".data",
        batch_size: int = 128,
        validation: float = 0.1,
        seed: int = 0,
        subset: int | None = None,
        download: bool = True,
        on_device: bool = False,
    ) -> None:
        unchanged = Augmentation(padding=0, flip=False)
        super().__init__(root, download, batch_size, validation, seed, subset, unchanged, on_device)

    def in_memory(self, images: datasets.MNIST) -> ImagesInMemory:
        return ImagesInMemory(images=images.data.unsqueeze(1), labels=torch.as_tensor(images.targets))

    def class_names(self, images: datasets.MNIST) -> tuple[str, ...]:
        return tuple(str(digit) for digit in range(10))

    def by_hand(self) -> str:
        return f"Put the four files of {datasets.MNIST.mirrors[0]} in {self.root!r}/MNIST/raw"
