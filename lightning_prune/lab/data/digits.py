"""Handwritten digits that come with scikit-learn: 1,797 images of 8x8 pixels, without a download."""

import torch
from sklearn.datasets import load_digits

from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.division import shuffled
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization

TEST_IMAGES = 360
NORMALIZATION = Normalization(mean=(0.3053,), std=(0.3760,), white=16)  # of all 1,797 images


class Digits(ImageData):
    """Gray 8x8 images of ten digits: 1,437 for training and 360 for testing.

    The test images are the same for every seed, so results of different seeds can be compared.

    Args:
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        padding: Largest shift of a training image in pixels, each way. 0 for none.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch. This
            needs images in memory.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> digits = Digits(batch_size=100)
        >>> digits.setup("fit")
        >>> len(digits.train_images), len(digits.validation_images)
        (1293, 144)

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", 1998, https://doi.org/10.24432/C50P49
    """

    num_classes = 10

    def __init__(
        self,
        batch_size: int = 128,
        validation: float = 0.1,
        seed: int = 0,
        subset: int | None = None,
        padding: int = 0,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, validation, seed, subset, Augmentation(padding, flip=False), on_device)

    def load(self) -> ImageSource:
        digits = load_digits()
        images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
        labels = torch.from_numpy(digits.target).long()
        order = torch.tensor(shuffled(len(images), seed=0))
        test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
        return ImageSource(
            train=ImagesInMemory(images[train], labels[train]),
            test=ImagesInMemory(images[test], labels[test]),
            normalization=NORMALIZATION,
            classes=tuple(str(digit) for digit in range(10)),
        )
