"""How a training image varies from epoch to epoch: a shift and a mirror image, for a whole batch at once."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lightning_prune.lab.arguments import require


@dataclass(frozen=True)
class Augmentation:
    """Shift every image by up to ``padding`` pixels each way and mirror every other one.

    The draws come from torch's global generator of the device that holds the
    images, so that a saved random state repeats them.

    Args:
        padding: Pixels of black added on every side before a crop of the old size; 0 for no shift.
        flip: Whether an image is mirrored left to right with probability one half.

    Raises:
        ValueError: If ``padding`` is negative.

    Example:
        >>> images = torch.ones(2, 3, 8, 8, dtype=torch.uint8)
        >>> Augmentation(padding=0, flip=False)(images).equal(images)
        True
        >>> Augmentation(padding=4, flip=True)(images).shape
        torch.Size([2, 3, 8, 8])
    """

    padding: int
    flip: bool

    def __post_init__(self) -> None:
        require(self.padding >= 0, "Augmentation", "padding", self.padding, "be 0 (no shift) or more pixels")

    def __call__(self, images: Tensor) -> Tensor:
        if self.padding:
            images = random_shift(images, self.padding)
        if self.flip:
            images = random_flip(images)
        return images


def random_shift(images: Tensor, padding: int) -> Tensor:
    """Pad with black and cut a window of the old size at a place drawn for each image.

    Args:
        images: ``[N, C, H, W]``.
        padding: Pixels added on every side, at least 1.

    Returns:
        The shifted images, ``[N, C, H, W]``.

    Example:
        >>> random_shift(torch.ones(1, 1, 8, 8), padding=1).sum().item() in (49, 56, 64)
        True
    """
    count, _, height, width = images.shape
    padded = functional.pad(images, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view of every window: [N, C, top, left, H, W]
    top, left = torch.randint(2 * padding + 1, (2, count), device=images.device)
    return windows[torch.arange(count, device=images.device), :, top, left]


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image left to right with probability one half.

    Args:
        images: ``[N, C, H, W]``.

    Returns:
        The images, ``[N, C, H, W]``, some of them mirrored.

    Example:
        >>> image = torch.tensor([0, 1]).reshape(1, 1, 1, 2)
        >>> random_flip(image).flatten().tolist() in ([0, 1], [1, 0])
        True
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)
