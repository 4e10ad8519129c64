"""The base of all data modules: parts drawn by seed, loaders of whole batches, and augmentation on the device."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lightning_prune.basics.checks import check_numbers, check_whole, require, require_positive
from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.division import check_share, divided, set_apart
from lightning_prune.lab.data.image_set import Batch, ImageSet, ImagesInMemory, batches
from lightning_prune.lab.data.normalization import Normalization


@dataclass(frozen=True)
class ImageSource:
    """The images of a data set, before its training images are divided.

    Args:
        train: Training images.
        test: Test images.
        normalization: Converts bytes to the numbers that a network gets.
        classes: Name of every class, in the order of the labels.
        validation: Validation images, if the data set itself has some.
        workers: Number of processes that load batches. Images in memory need none.
    """

    train: ImageSet
    test: ImageSet
    normalization: Normalization
    classes: tuple[str, ...]
    validation: ImageSet | None = None
    workers: int = 0


class ImageData(LightningDataModule, ABC):
    """The base class of data modules with images as bytes ``[N, C, H, W]``. A subclass only finds the images.

    The loaders give batches of bytes. Augmentation and normalization run once
    the batch is on its device. This needs a quarter of the traffic to a GPU, and
    a few kernels there for the whole batch. Random numbers are drawn when the
    batch is used, so prefetched batches do not advance a random state that is
    saved.

    Args:
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        augmentation: Random changes of training images.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch. This
            needs images in memory.

    Raises:
        ValueError: If an argument is out of range. ``setup`` raises it if ``validation`` leaves no image to train on,
            or if ``on_device`` is true and the images are not in memory.
    """

    trainer: Trainer | None

    def __init__(
        self,
        batch_size: int,
        validation: float,
        seed: int,
        subset: int | None,
        augmentation: Augmentation,
        on_device: bool = False,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        require_positive(owner, batch_size=batch_size)
        check_share(owner, validation)
        check_whole(owner, {"seed": seed})
        check_numbers(owner, {"subset": subset}, none=True)
        require(
            subset is None or subset >= 1,
            owner,
            "subset",
            subset,
            "be at least 1, or None for all images",
        )
        self.batch_size = batch_size
        self.validation = validation
        self.seed = seed
        self.subset = subset
        self.augmentation = augmentation
        self.on_device = on_device
        self._source: ImageSource | None = None
        self._lent: ImageSource | None = None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes. It is known before the images are loaded."""

    @abstractmethod
    def load(self) -> ImageSource:
        """Find the images. This method is called once in every process."""

    def reuse(self, source: ImageSource) -> None:
        """Use images that another data module with the same arguments has found. Then ``load`` is not called.

        Args:
            source: The ``source`` of the other data module.
        """
        self._lent = source

    @property
    def source(self) -> ImageSource:
        """The images. They exist after ``setup``."""
        if self._source is None:
            owner = type(self).__name__
            raise RuntimeError(f"{owner} has no images yet. Call {owner}.setup('fit') or give it to a Trainer first.")
        return self._source

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of every class, in the order of the labels."""
        return self.source.classes

    @property
    def normalization(self) -> Normalization:
        """The conversion of bytes to the numbers that the network gets."""
        return self.source.normalization

    def setup(self, stage: str) -> None:
        if self._source is None:
            self._source = self._lent or self.load()
            self._divide(self._source)
        if self.on_device:  # at every stage, because the trainer that tests may have another device
            self._follow_trainer(self._source)

    def _divide(self, source: ImageSource) -> None:
        count, given = len(source.train), source.validation
        apart = set_apart(count, self.validation) if given is None else 0
        if self.validation >= 1:  # the number may have been meant for another data set
            expected = f"be below {count}, the number of training images"
            require(apart < count, type(self).__name__, "validation", self.validation, expected)
        self.train_images, self.validation_images = divided(source.train, apart, self.seed)
        self.train_images.indices = self.train_images.indices[: self.subset]
        if given is not None:
            self.validation_images = Subset(given, range(len(given)))

    def _follow_trainer(self, source: ImageSource) -> None:
        owner = type(self).__name__
        parts = [part for part in (source.train, source.validation, source.test) if part is not None]
        held = [part for part in parts if isinstance(part, ImagesInMemory)]
        require(len(held) == len(parts), owner, "on_device", True, "be False: its images are not all in memory")
        if self.trainer is None:
            return
        device = self.trainer.strategy.root_device
        try:
            for part in held:
                part.move_(device)
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"{owner}(on_device=True): {device} has no room for the images. Set `on_device=False`. {error}"
            ) from error

    def train_dataloader(self) -> DataLoader[Batch]:
        workers = self._workers
        return batches(self.train_images, self.batch_size, shuffle=True, workers=workers, on_device=self.on_device)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        workers = self._workers
        if not len(self.validation_images):
            return []  # tells Lightning that there is nothing to validate on
        return batches(self.validation_images, self.batch_size, workers=workers, on_device=self.on_device)

    def test_dataloader(self) -> DataLoader[Batch]:
        return batches(self.source.test, self.batch_size, workers=self._workers, on_device=self.on_device)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.test_dataloader()

    @property
    def _workers(self) -> int:
        workers = self.source.workers
        return 0 if self.on_device else workers  # each worker process would hold a copy on the device

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, labels = batch
        trainer = self.trainer
        if trainer is None:
            return self.normalization(images), labels
        if trainer.training:
            images = self.augmentation(images)
        converted: Tensor = trainer.precision_plugin.convert_input(self.normalization(images))
        return converted, labels
