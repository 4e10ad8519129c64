"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels in color."""

from abc import ABC
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import torch
from torchvision import datasets

from lightning_prune.lab.data.augmentation import Augmentation, Border
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization


class CIFAR(ImageData, ABC):
    """The common base of CIFAR-10 and CIFAR-100, which loads and augments them in the same way.

    Args:
        root: Folder of the data. It is created for a download.
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        padding: Largest shift of a training image in pixels, each way. 0 for none.
        flip: Whether a training image is mirrored with probability one half.
        download: Whether to download the data (about 170 MB) if ``root`` does not have it.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch. This
            needs images in memory.
        border: Pixels that a shift brings in. ``"black"`` brings in black pixels, and ``"reflect"`` mirrors the image
            at its edge.
        rotation: Largest rotation of a training image in degrees, each way, in [0, 180]. 0 for none.

    Raises:
        ValueError: If an argument is out of range.
    """

    dataset: ClassVar[type[datasets.CIFAR10]]
    constants: ClassVar[Normalization]

    def __init__(
        self,
        root: str = ".data",
        batch_size: int = 128,
        validation: float = 0.1,
        seed: int = 0,
        subset: int | None = None,
        padding: int = 4,
        flip: bool = True,
        download: bool = True,
        on_device: bool = False,
        border: Border = "black",
        rotation: float = 0.0,
    ) -> None:
        augmentation = Augmentation(padding, flip, border, rotation)
        super().__init__(batch_size, validation, seed, subset, augmentation, on_device)
        self.root = root
        self.download = download

    @property
    def places(self) -> tuple[str, ...]:
        """The arguments that a study ignores. ``fingerprint`` identifies the files at ``root``.

        A study also ignores ``border`` and ``rotation`` at their defaults. Results from before these arguments existed
        keep their names in this way.
        """
        added = {"border": self.augmentation.border == "black", "rotation": self.augmentation.rotation == 0}
        return ("root", "download", *(name for name, as_ever in added.items() if as_ever))

    def fingerprint(self) -> str:
        """The checksum of the archive. torchvision compares the files with it whenever they are read."""
        return str(self.dataset.tgz_md5)

    def prepare_data(self) -> None:
        if not self.download:
            return
        try:
            self.dataset(self.root, train=False, download=True)
        except URLError as error:
            raise FileNotFoundError(
                f"{self._described()} could not download: {error.reason}. {self._advice()}"
            ) from error

    def load(self) -> ImageSource:
        train, test = self._read(train=True), self._read(train=False)
        return ImageSource(
            train=in_memory(train),
            test=in_memory(test),
            normalization=self.constants,
            classes=tuple(train.classes),
        )

    def _read(self, train: bool) -> datasets.CIFAR10:
        try:
            return self.dataset(self.root, train=train)
        except RuntimeError as error:
            found = sorted(file.name for file in Path(self.root).glob("*")) or "nothing"
            raise FileNotFoundError(
                f"{self._described()} found {found}, no complete data set. {self._advice()}"
            ) from error

    def _advice(self) -> str:
        otherwise = "look at the network connection" if self.download else "set `download=True`"
        return f"Download {self.dataset.url}, unpack it in {self.root!r}, or {otherwise}."

    def _described(self) -> str:
        return f"{type(self).__name__}(root={self.root!r}, download={self.download})"


class CIFAR10(CIFAR):
    """CIFAR-10: 6,000 images of each of ten classes. The arguments are those of ``CIFAR``.

    Example:
        >>> CIFAR10(root=".data", batch_size=64).num_classes
        10

    Reference:
        Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
        https://www.cs.toronto.edu/~kriz/cifar.html
    """

    num_classes = 10
    dataset = datasets.CIFAR10
    constants = Normalization(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))


class CIFAR100(CIFAR):
    """CIFAR-100: 600 images of each of a hundred classes. The arguments are those of ``CIFAR``.

    Example:
        >>> CIFAR100(validation=0.0).num_classes
        100

    Reference:
        Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
        https://www.cs.toronto.edu/~kriz/cifar.html
    """

    num_classes = 100
    dataset = datasets.CIFAR100
    constants = Normalization(mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def in_memory(images: datasets.CIFAR10) -> ImagesInMemory:
    """Convert torchvision's images, ``[N, H, W, C]``, to a set of images ``[N, C, H, W]``."""
    return ImagesInMemory(
        images=torch.from_numpy(images.data).permute(0, 3, 1, 2).contiguous(),
        labels=torch.tensor(images.targets),
    )
