"""Normalize images from bytes to zero mean and unit standard deviation in every channel."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lightning_prune.basics.checks import require

IMAGES_PER_STEP = 4096  # bounds the memory of a pass over a large set


@dataclass(frozen=True)
class Normalization:
    """Standardize images: ``(bytes / white - mean) / std`` in every channel.

    Args:
        mean: Mean brightness of each channel, in [0, 1].
        std: Standard deviation of the brightness of each channel, above 0.
        white: The byte that means full brightness.

    Raises:
        ValueError: If the lengths differ or a deviation is not above 0.

    Example:
        >>> images = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
        >>> Normalization(mean=(0.5,), std=(0.5,))(images).flatten().round(decimals=4)
        tensor([-1.,  1.])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: int = 255

    def __post_init__(self) -> None:
        same = len(self.mean) == len(self.std)
        require(same, "Normalization", "std", self.std, f"have one value for each of mean={self.mean}")
        require(
            min(self.std) > 0, "Normalization", "std", self.std, "be above 0: a channel that never varies has no scale"
        )

    def __call__(self, images: Tensor) -> Tensor:
        scale = constant(tuple(1 / (self.white * std) for std in self.std), images.device)
        shift = constant(tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True)), images.device)
        return torch.addcmul(shift, images, scale)


@lru_cache(maxsize=16)  # a copy to the GPU in every batch would make the host wait for the device
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Put one value per channel on the device of the images, as float32 ``[C, 1, 1]``."""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


def normalization_of(images: Tensor, white: int = 255) -> Normalization:
    """Measure the mean and standard deviation of a set exactly, from the counts of each byte.

    Args:
        images: uint8 ``[N, C, H, W]``, at least one image.
        white: The byte that means full brightness.

    Returns:
        The normalization that gives these images mean 0 and standard deviation 1.

    Raises:
        ValueError: If a channel never varies.

    Example:
        >>> normalization_of(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
        Normalization(mean=(0.5,), std=(0.5,), white=255)
    """
    brightness = torch.arange(256, dtype=torch.float64) / white
    means, deviations = [], []
    for channel in images.unbind(dim=1):
        steps = torch.split(channel, IMAGES_PER_STEP)
        counts = torch.stack([torch.bincount(step.flatten(), minlength=256) for step in steps])
        frequency = counts.sum(dim=0).double() / channel.numel()
        mean = (frequency * brightness).sum()
        means.append(mean.item())
        deviations.append((frequency * (brightness - mean) ** 2).sum().sqrt().item())
    return Normalization(tuple(means), tuple(deviations), white)
