"""Divide images into training and validation images. The first ones of a seeded order go to validation."""

import torch
from torch.utils.data import Subset

from lightning_prune.basics.checks import is_number, require
from lightning_prune.lab.data.image_set import Batch, ImageSet


def shuffled(count: int, seed: int) -> list[int]:
    """Order the numbers below ``count`` at random. The same seed gives the same order on every machine.

    Args:
        count: The number of numbers, at least 0.
        seed: Seed of a separate generator. torch's global generator does not change.

    Returns:
        Every number from 0 to ``count - 1``, once.

    Example:
        >>> sorted(shuffled(4, seed=0))
        [0, 1, 2, 3]
        >>> shuffled(100, seed=0) == shuffled(100, seed=1)
        False
    """
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


def check_share(owner: str, validation: float) -> None:
    """Refuse a value that is neither a fraction nor a number of images.

    Args:
        owner: The class that received the value.
        validation: The value.

    Raises:
        ValueError: If the value is not in [0, 1) and not a whole number of at least 2. The value 1 is refused because
            it could mean all images, or one image.

    Example:
        >>> check_share("MNIST", 0.1), check_share("MNIST", 5000)
        (None, None)
    """
    is_count = is_number(validation) and validation >= 2 and float(validation).is_integer()
    expected = "be a fraction in [0, 1), or a whole number of images, at least 2"
    is_share = is_number(validation) and 0 <= validation < 1
    require(is_share or is_count, owner, "validation", validation, expected)


def set_apart(count: int, validation: float) -> int:
    """Count the images to validate on.

    Args:
        count: The number of all images, at least 0.
        validation: The fraction to validate on, in [0, 1), or the number of images, at least 2.

    Returns:
        The number of images to validate on. A fraction is rounded to whole images.

    Example:
        >>> set_apart(60_000, 0.0834), set_apart(60_000, 5000)
        (5004, 5000)
    """
    return round(validation * count) if validation < 1 else int(validation)


def divided(images: ImageSet, apart: int, seed: int) -> tuple[Subset[Batch], Subset[Batch]]:
    """Set some of the images apart.

    Args:
        images: The set to divide. Images are not copied.
        apart: The number of images to set apart, at most all.
        seed: Seed of the order in which images are taken.

    Returns:
        The rest in shuffled order, and the images set apart. No image is in both, and together they are all images.

    Example:
        >>> from lightning_prune.lab.data.image_set import ImagesInMemory
        >>> images = ImagesInMemory(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10))
        >>> [len(part) for part in divided(images, apart=2, seed=0)]
        [8, 2]
    """
    order = shuffled(len(images), seed)
    return Subset(images, order[apart:]), Subset(images, order[:apart])
