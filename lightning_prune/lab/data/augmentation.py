"""Augment training images with random shifts, mirror images and rotations, a whole batch at once."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lightning_prune.basics.checks import check_numbers, require

Border = Literal["black", "reflect"]
BORDERS = ("black", "reflect")


@dataclass(frozen=True)
class Augmentation:
    """Shift every image at random, mirror half of the images, and rotate every image at random.

    All random numbers come from torch's global generator of the device that
    holds the images, so a saved random state repeats them.

    Args:
        padding: Pixels added on every side before the image is cropped to its old size. 0 for no shift.
        flip: Whether an image is mirrored left to right with probability one half.
        border: The added pixels. ``"black"`` adds black pixels, and ``"reflect"`` mirrors the image at its edge.
        rotation: Largest rotation in degrees, each way, in [0, 180]. 0 for none. Pixels from outside are black.

    Raises:
        ValueError: If an argument is out of range. A call raises it if a reflection is wider than the image.

    Example:
        >>> images = torch.ones(2, 3, 8, 8, dtype=torch.uint8)
        >>> Augmentation(padding=0, flip=False)(images).equal(images)
        True
        >>> Augmentation(padding=4, flip=True)(images).shape
        torch.Size([2, 3, 8, 8])
    """

    padding: int
    flip: bool
    border: Border = "black"
    rotation: float = 0.0

    def __post_init__(self) -> None:
        check_numbers("Augmentation", {"padding": self.padding, "rotation": self.rotation})
        require(self.padding >= 0, "Augmentation", "padding", self.padding, "be 0 (no shift) or more pixels")
        require(self.border in BORDERS, "Augmentation", "border", self.border, f"be one of {', '.join(BORDERS)}")
        expected = "be 0 (no turn) to 180 degrees"
        require(0 <= self.rotation <= 180, "Augmentation", "rotation", self.rotation, expected)

    def __call__(self, images: Tensor) -> Tensor:
        if self.padding:
            images = random_shift(images, self.padding, self.border)
        if self.flip:
            images = random_flip(images)
        if self.rotation:
            images = random_turn(images, self.rotation)
        return images


def random_shift(images: Tensor, padding: int, border: Border = "black") -> Tensor:
    """Pad each image and crop a window of the old size at a random place.

    Args:
        images: ``[N, C, H, W]``.
        padding: Pixels added on every side, at least 1.
        border: The added pixels: black, or the reflection of the image at its edge.

    Returns:
        The shifted images, ``[N, C, H, W]``.

    Example:
        >>> random_shift(torch.ones(1, 1, 8, 8), padding=1).sum().item() in (49, 56, 64)
        True
    """
    count, _, height, width = images.shape
    padded = functional.pad(images, [padding] * 4) if border == "black" else reflected(images, padding)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view of every window: [N, C, top, left, H, W]
    top, left = torch.randint(2 * padding + 1, (2, count), device=images.device)
    return windows[torch.arange(count, device=images.device), :, top, left]


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image left to right with probability one half.

    Args:
        images: ``[N, C, H, W]``.

    Returns:
        The images, ``[N, C, H, W]``, some of which are mirrored.

    Example:
        >>> image = torch.tensor([0, 1]).reshape(1, 1, 1, 2)
        >>> random_flip(image).flatten().tolist() in ([0, 1], [1, 0])
        True
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def reflected(images: Tensor, padding: int) -> Tensor:
    """Add the reflection of the image at its edge. The edge itself is not repeated. Bytes work, too.

    Args:
        images: ``[N, C, H, W]``.
        padding: Pixels added on every side, below the height and the width of the images.

    Returns:
        The larger images, ``[N, C, H + 2 padding, W + 2 padding]``.

    Raises:
        ValueError: If the image is too small.

    Example:
        >>> reflected(torch.tensor([[0, 1, 2], [3, 4, 5]]).reshape(1, 1, 2, 3), padding=1)[0, 0, 1]
        tensor([1, 0, 1, 2, 1])
    """
    smallest = min(images.shape[2:])
    require(padding < smallest, "Augmentation", "padding", padding, f"be below {smallest}, the size of the images")
    for axis in (2, 3):
        last = images.shape[axis] - 1
        places = torch.arange(-padding, last + padding + 1, device=images.device).abs()
        images = images.index_select(axis, last - (last - places).abs())
    return images


def random_turn(images: Tensor, degrees: float) -> Tensor:
    """Rotate each image around its center by a random angle from ``-degrees`` to ``degrees``, without blending pixels.

    Args:
        images: ``[N, C, H, W]``, bytes or floating-point numbers.
        degrees: Largest angle, above 0.

    Returns:
        The rotated images, ``[N, C, H, W]``. Pixels from outside the image are black.

    Example:
        >>> random_turn(torch.ones(1, 1, 8, 8, dtype=torch.uint8), degrees=15)[0, 0, 4, 4]
        tensor(1, dtype=torch.uint8)
    """
    drawn = torch.rand(len(images), device=images.device)
    return turned(images, (2 * drawn - 1) * degrees)


def turned(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate each image around its center, counterclockwise, without blending pixels.

    Args:
        images: ``[N, C, H, W]``, bytes or floating-point numbers.
        degrees: The angle of each image, ``[N]``.

    Returns:
        The rotated images, ``[N, C, H, W]``. Pixels from outside the image are black.

    Example:
        >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([90.0]))
        tensor([[[[2, 4],
                  [1, 3]]]])
    """
    count, _, height, width = images.shape
    angles = degrees * (math.pi / 180)
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # In the coordinates of a sampling grid both sides have length 2, for any shape of the image.
    rows = [cosine, -sine * height / width, zero, sine * width / height, cosine, zero]
    turns = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = functional.affine_grid(turns, list(images.shape), align_corners=False)
    taken = functional.grid_sample(images.to(grid.dtype), grid, mode="nearest", align_corners=False)
    return taken.to(images.dtype)
