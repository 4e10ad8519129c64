"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28 pixels in gray."""

from pathlib import Path

import torch
from torchvision import datasets

from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization

NORMALIZATION = Normalization(mean=(0.1307,), std=(0.3081,))  # of the training images


class MNIST(ImageData):
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
        super().__init__(batch_size, validation, seed, subset, Augmentation(padding=0, flip=False), on_device)
        self.root = root
        self.download = download

    def prepare_data(self) -> None:
        if not self.download:
            return
        try:
            datasets.MNIST(self.root, download=True)
        except (OSError, RuntimeError) as error:  # torchvision tries several mirrors, then gives up
            raise FileNotFoundError(f"{self._described()} could not download: {error} {self._advice()}") from error

    def load(self) -> ImageSource:
        train, test = self._read(train=True), self._read(train=False)
        return ImageSource(
            train=in_memory(train),
            test=in_memory(test),
            normalization=NORMALIZATION,
            classes=tuple(str(digit) for digit in range(10)),
        )

    def _read(self, train: bool) -> datasets.MNIST:
        try:
            return datasets.MNIST(self.root, train=train)
        except RuntimeError as error:
            found = sorted(file.name for file in Path(self.root).glob("*")) or "nothing"
            raise FileNotFoundError(
                f"{self._described()} found {found}, no complete data set. {self._advice()}"
            ) from error

    def _advice(self) -> str:
        otherwise = "look at the network connection" if self.download else "set `download=True`"
        return f"Put the four files of {datasets.MNIST.mirrors[0]} in {self.root!r}/MNIST/raw, or {otherwise}."

    def _described(self) -> str:
        return f"MNIST(root={self.root!r}, download={self.download})"


def in_memory(images: datasets.MNIST) -> ImagesInMemory:
    """Convert torchvision's images, ``[N, H, W]``, to a set of images ``[N, 1, H, W]``."""
    return ImagesInMemory(images=images.data.unsqueeze(1), labels=torch.as_tensor(images.targets))
