"""Read the data sets that torchvision downloads, CIFAR and MNIST. The errors say what to do."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

from torchvision.datasets import VisionDataset

from lightning_prune.basics.user_error import NothingThere
from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization

# torchvision tries several mirrors, and then raises a RuntimeError. A missing permission to write is not among these
# errors, and is raised unchanged.
NOT_DOWNLOADED = (URLError, ConnectionError, TimeoutError, RuntimeError)


class DownloadedImages(ImageData, ABC):
    """Images that torchvision downloads to ``root`` and reads from there into memory.

    A subclass names the data set and its normalization, and converts torchvision's images to tensors.

    Args:
        root: Folder of the data. It is created for a download.
        download: Whether to download the data if ``root`` does not have it.
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        augmentation: The random changes of training images.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch.

    Raises:
        FileNotFoundError: If the data can neither be found nor downloaded, when they are used.
        ValueError: If an argument is out of range.
    """

    dataset: ClassVar[type[VisionDataset]]
    constants: ClassVar[Normalization]

    def __init__(
        self,
        root: str,
        download: bool,
        batch_size: int,
        validation: float,
        seed: int,
        subset: int | None,
        augmentation: Augmentation,
        on_device: bool,
    ) -> None:
        super().__init__(batch_size, validation, seed, subset, augmentation, on_device)
        self.root = root
        self.download = download

    @abstractmethod
    def in_memory(self, images: VisionDataset) -> ImagesInMemory:
        """Convert torchvision's images to a set of images ``[N, C, H, W]``."""

    @abstractmethod
    def class_names(self, images: VisionDataset) -> tuple[str, ...]:
        """Name every class, in the order of the labels."""

    @abstractmethod
    def by_hand(self) -> str:
        """Tell the user how to get the data without this download.

        Returns:
            The start of a sentence that goes on with ", or".
        """

    def prepare_data(self) -> None:
        if not self.download:
            return
        try:
            self.dataset(self.root, train=False, download=True)
        except NOT_DOWNLOADED as error:
            reason = str(getattr(error, "reason", error)).rstrip(". \n")
            raise NothingThere(f"{self._described()} could not download: {reason}. {self._advice()}") from error

    def load(self) -> ImageSource:
        train, test = self._read(train=True), self._read(train=False)
        return ImageSource(self.in_memory(train), self.in_memory(test), self.constants, self.class_names(train))

    def _read(self, train: bool) -> VisionDataset:
        try:
            return self.dataset(self.root, train=train)
        except RuntimeError as error:
            found = sorted(file.name for file in Path(self.root).glob("*")) or "nothing"
            raise NothingThere(f"{self._described()} found {found}, no complete data set. {self._advice()}") from error

    def _advice(self) -> str:
        otherwise = "look at the network connection" if self.download else "set `download=True`"
        return f"{self.by_hand()}, or {otherwise}."

    def _described(self) -> str:
        return f"{type(self).__name__}(root={self.root!r}, download={self.download})"
