"""What every data module shares: parts drawn by seed, loaders of whole batches, augmentation where the batch is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lightning_prune.basics.checks import require, require_positive
from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.division import check_share, divided, set_apart
from lightning_prune.lab.data.image_set import Batch, ImageSet, ImagesInMemory, batches
from lightning_prune.lab.data.normalization import Normalization


@dataclass(frozen=True)
class ImageSource:
    """What a data set has on offer, before its training images are divided.

    Args:
        train: Training images.
        test: Test images.
        normalization: From bytes to what a network sees.
        classes: Name of every class, in the order of the labels.
        validation: Validation images, where the data set itself sets some apart.
        workers: Processes that load batches; images in memory need none.
    """

    train: ImageSet
    test: ImageSet
    normalization: Normalization
    classes: tuple[str, ...]
    validation: ImageSet | None = None
    workers: int = 0


class ImageData(LightningDataModule, ABC):
    """A data module over bytes ``[N, C, H, W]``: a subclass only says where the images come from.

    The loaders hand out bytes. Augmentation and normalization wait until the
    batch is on its device: a quarter of the traffic to a GPU, a few kernels
    there for the whole batch, and draws made when the batch is used, so that no
    prefetched batch runs ahead of a random state that was saved.

    Args:
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: How many training images to use, the first of the seeded order; None for all.
        augmentation: How training images vary.
        on_device: Whether the images are kept on the device that trains, where a batch then costs one indexing; needs
            images in memory.

    Raises:
        ValueError: If an argument is out of range; on use, if ``validation`` leaves no image to train on, or
            ``on_device`` is true and the images are not in memory.
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
        require(subset is None or subset >= 1, owner, "subset", subset, "be at least 1, or None for all images")
        self.batch_size = batch_size
        self.validation = validation
        self.seed = seed
        self.subset = subset
        self.augmentation = augmentation
        self.on_device = on_device
        self._source: ImageSource | None = None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes, known before the images are."""

    @abstractmethod
    def load(self) -> ImageSource:
        """Find the images; called once in every process."""

    @property
    def source(self) -> ImageSource:
        """The images, once ``setup`` has found them."""
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
        """From bytes to what the network sees."""
        return self.source.normalization

    def setup(self, stage: str) -> None:
        if self._source is None:
            self._source = self.load()
            self._divide(self._source)
        if self.on_device:  # at every stage: the trainer that tests may have another device than the one that fitted
            self._follow_trainer(self._source)

    def _divide(self, source: ImageSource) -> None:
        count, given = len(source.train), source.validation
        apart = set_apart(count, self.validation) if given is None else 0
        if self.validation >= 1:  # a number, which may be of another set
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
            return []  # Lightning's way to say that there is nothing to validate on
        return batches(self.validation_images, self.batch_size, workers=workers, on_device=self.on_device)

    def test_dataloader(self) -> DataLoader[Batch]:
        return batches(self.source.test, self.batch_size, workers=self._workers, on_device=self.on_device)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.test_dataloader()

    @property
    def _workers(self) -> int:
        workers = self.source.workers
        return 0 if self.on_device else workers  # each other process would hold a copy on the device

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, labels = batch
        trainer = self.trainer
        if trainer is None:
            return self.normalization(images), labels
        if trainer.training:
            images = self.augmentation(images)
        converted: Tensor = trainer.precision_plugin.convert_input(self.normalization(images))
        return converted, labels
