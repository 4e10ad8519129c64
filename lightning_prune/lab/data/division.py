"""Which training images are held back for validation: the first ones of an order that the seed draws."""

import torch
from torch.utils.data import Subset

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


def divided(images: ImageSet, fraction: float, seed: int) -> tuple[Subset[Batch], Subset[Batch]]:
    """Set a fraction of the images apart.

    Args:
        images: The set to divide; nothing is copied.
        fraction: Share to set apart, in [0, 1]; rounded to whole images.
        seed: Seed of the order in which they are taken.

    Returns:
        The rest in shuffled order, and the images set apart; disjoint, and together everything.

    Example:
        >>> from lightning_prune.lab.data.image_set import ImagesInMemory
        >>> images = ImagesInMemory(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10))
        >>> [len(part) for part in divided(images, fraction=0.25, seed=0)]
        [8, 2]
    """
    order = shuffled(len(images), seed)
    apart = round(fraction * len(images))
    return Subset(images, order[apart:]), Subset(images, order[:apart])
