"""Which training images are held back for validation: the first ones of an order that the seed draws."""

import torch
from torch.utils.data import Subset

from lightning_prune.basics.checks import require
from lightning_prune.lab.data.image_set import Batch, ImageSet


def shuffled(count: int, seed: int) -> list[int]:
    """Order the numbers below ``count`` at random, the same for the same seed on every machine.

    Args:
        count: How many there are, at least 0.
        seed: Seed of a generator of its own; torch's global one is left alone.

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
    """Refuse what is neither a fraction nor a number of images.

    Args:
        owner: The class that received it.
        validation: What it received.

    Raises:
        ValueError: If it is not in [0, 1) and no whole number of at least 2; 1 could mean all images, or one.

    Example:
        >>> check_share("MNIST", 0.1), check_share("MNIST", 5000)
        (None, None)
    """
    is_number = validation >= 2 and float(validation).is_integer()
    expected = "be a fraction in [0, 1), or a whole number of images, at least 2"
    require(0 <= validation < 1 or is_number, owner, "validation", validation, expected)


def set_apart(count: int, validation: float) -> int:
    """Count the images to validate on.

    Args:
        count: How many images there are, at least 0.
        validation: Which fraction of them, in [0, 1), or how many, at least 2.

    Returns:
        How many; a fraction is rounded to whole images.

    Example:
        >>> set_apart(60_000, 0.0834), set_apart(60_000, 5000)
        (5004, 5000)
    """
    return round(validation * count) if validation < 1 else int(validation)


def divided(images: ImageSet, apart: int, seed: int) -> tuple[Subset[Batch], Subset[Batch]]:
    """Set some of the images apart.

    Args:
        images: The set to divide; nothing is copied.
        apart: How many to set apart, at most all.
        seed: Seed of the order in which they are taken.

    Returns:
        The rest in shuffled order, and the images set apart; disjoint, and together everything.

    Example:
        >>> from lightning_prune.lab.data.image_set import ImagesInMemory
        >>> images = ImagesInMemory(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10))
        >>> [len(part) for part in divided(images, apart=2, seed=0)]
        [8, 2]
    """
    order = shuffled(len(images), seed)
    return Subset(images, order[apart:]), Subset(images, order[:apart])
