"""Decode image files to bytes of one size, one file at a time or all files on several threads."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torchvision.transforms import v2

from lightning_prune.basics.user_error import UserError

FILES_PER_TASK = 256
SECONDS_OF_SILENCE = 10.0


@dataclass(frozen=True)
class Decoder:
    """Read a file, scale its shorter side to ``size`` pixels and crop the square in the middle.

    Args:
        size: Width and height of the result in pixels, at least 1.
        channels: 3 for color, 1 for gray.

    Raises:
        ValueError: When called with a file that cannot be read as an image.

    Example:
        >>> Decoder(size=32, channels=1).shape
        (1, 32, 32)
    """

    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every decoded image."""
        return (self.channels, self.size, self.size)

    def __call__(self, path: Path) -> Tensor:
        try:
            with Image.open(path) as file:
                _refuse_deep(path, file.mode)
                image = file.convert("RGB" if self.channels == 3 else "L")
        except OSError as error:
            raise UserError(f"{path} cannot be decoded: {error}. Repair or remove the file.") from error
        if image.size != (self.size, self.size):
            image = v2.functional.center_crop(v2.functional.resize(image, [self.size]), [self.size])
        pixels = numpy.array(image, dtype=numpy.uint8).reshape(self.size, self.size, self.channels)
        return torch.from_numpy(pixels).permute(2, 0, 1)


def _refuse_deep(path: Path, mode: str) -> None:
    """Refuse modes whose values Pillow would cut off at 255 instead of scaling them."""
    if mode in ("I", "F") or mode.startswith("I;16"):
        raise UserError(
            f"{path} has more than 8 bits a pixel (Pillow's mode {mode!r}), which bytes cannot hold. "
            "Scale the images to 8 bits first."
        )


def decode_all(paths: Sequence[Path], decoder: Decoder, threads: int) -> Tensor:
    """Decode every file. Show a progress bar on a terminal, and write a line now and then elsewhere.

    Args:
        paths: The files, at least one.
        decoder: Turns one file into uint8 ``[C, H, W]``.
        threads: Number of threads that decode, at least 1. They run in parallel, because decoding releases Python's
            global lock.

    Returns:
        uint8 ``[len(paths), C, H, W]``, in the order of ``paths``.

    Raises:
        ValueError: If a file cannot be decoded.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (40, 20), "white").save(Path(folder, "white.png"))
        ...     decode_all([Path(folder, "white.png")], Decoder(size=8, channels=3), threads=1).shape
        torch.Size([1, 3, 8, 8])
    """
    images = torch.empty(len(paths), *decoder.shape, dtype=torch.uint8)
    firsts = range(0, len(paths), FILES_PER_TASK)
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(partial(decode_some_, images, paths, decoder), firsts)
        terminal = sys.stderr.isatty()
        watched = track(done, "Decoding", len(firsts), console=Console(stderr=True), disable=not terminal)
        written = time.monotonic()
        for tasks, _ in enumerate(watched, start=1):
            if not terminal and time.monotonic() - written > SECONDS_OF_SILENCE:
                written = time.monotonic()
                sys.stderr.write(f"Decoding: {min(tasks * FILES_PER_TASK, len(paths))} of {len(paths)} images\n")
    return images


def decode_some_(images: Tensor, paths: Sequence[Path], decoder: Decoder, first: int) -> None:
    """Decode the files of one task into ``images``, from index ``first`` on."""
    for index in range(first, min(first + FILES_PER_TASK, len(paths))):
        images[index] = decoder(paths[index])
