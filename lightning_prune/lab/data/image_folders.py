"""A data module for any folder tree of images. Images that do not fit into memory are decoded in every epoch."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.lab.data.augmentation import Augmentation
from lightning_prune.lab.data.cache import cached, fingerprint
from lightning_prune.lab.data.content_hash import content_of
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.decoding import Decoder, decode_all
from lightning_prune.lab.data.division import shuffled
from lightning_prune.lab.data.folder_tree import LabelledFiles, class_names, labelled_files
from lightning_prune.lab.data.image_set import ImageSet, ImagesInMemory, ImagesOnDisk
from lightning_prune.lab.data.normalization import Normalization, normalization_of

SAMPLE = 2048  # images on which mean and deviation are measured if the set does not fit into memory


class ImageFolders(ImageData):
    """Images in ``root/train/<class>/`` and ``root/test/<class>/``, and in ``root/val/<class>/`` if you like.

    Args:
        root: The folder that has ``train`` and ``test`` in it.
        image_size: Width and height in pixels, at least 1. The shorter side is
            scaled to this size, and the square in the middle is cropped.
        channels: 3 for color, 1 for gray.
        batch_size: Images in a batch, at least 1.
        validation: Fraction of the training images to validate on, in [0, 1), or their number, at least 2. It is not
            used if there is a ``val`` folder.
        seed: Seed of the division into training and validation images.
        subset: Number of training images to use, from the start of the seeded order. None for all.
        padding: Largest shift of a training image in pixels, each way. 0 for none.
        flip: Whether a training image is mirrored with probability one half.
        mean: Mean brightness of each channel, in [0, 1]. None: measured on the training images.
        std: Standard deviation of the brightness of each channel, above 0. None: measured on the training images.
        memory_limit: Gigabytes (1e9 bytes) that the decoded images may take. A
            larger set is decoded again in every epoch, by ``workers`` processes.
        workers: Number of threads that decode into memory, or of processes that load from disk, at least 1.
        cache: Folder for the decoded images, so that they are decoded once for
            all runs. A changed file, size or number of channels makes a new cache file. None: no cache.
        on_device: Whether the images are kept on the device that trains, where one indexing then makes a batch. This
            needs images in memory.

    Raises:
        ValueError: If an argument is out of range. Use of the images raises it if ``on_device`` is true and
            ``memory_limit`` is too low.
        FileNotFoundError: If the folder tree is not as described. It is raised once the tree is read.

    Example:
        >>> ImageFolders(root="flowers", image_size=64, mean=[0.5])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: ImageFolders(mean=[0.5]): `mean` must have 3 values, as many as ...
    """

    places = ("root", "cache")  # arguments that a study ignores, because `fingerprint` identifies the images

    def __init__(
        self,
        root: str,
        image_size: int = 32,
        channels: Literal[1, 3] = 3,
        batch_size: int = 128,
        validation: float = 0.1,
        seed: int = 0,
        subset: int | None = None,
        padding: int = 4,
        flip: bool = True,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        memory_limit: float = 4.0,
        workers: int = 4,
        cache: str | None = None,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, validation, seed, subset, Augmentation(padding, flip), on_device)
        require_positive("ImageFolders", image_size=image_size, workers=workers)
        require(channels in (1, 3), "ImageFolders", "channels", channels, "be 3 (color) or 1 (gray)")
        check_numbers("ImageFolders", {"memory_limit": memory_limit})
        require(memory_limit >= 0, "ImageFolders", "memory_limit", memory_limit, "be 0 gigabytes or more")
        for name, values in (("mean", mean), ("std", std)):
            fits = values is None or len(values) == channels
            require(fits, "ImageFolders", name, values, f"have {channels} values, as many as `channels`, or be None")
        require(
            (mean is None) == (std is None), "ImageFolders", "std", std, f"go with mean={mean}: give both or neither"
        )
        self.root = Path(root).expanduser()
        self.decoder = Decoder(image_size, channels)
        self.mean = mean
        self.std = std
        self.memory_limit = memory_limit
        self.workers = workers
        self.cache = cache

    @property
    def num_classes(self) -> int:
        """Number of folders in ``root/train``. It is known before ``setup``."""
        return len(class_names(self.root))

    def fingerprint(self) -> str:
        """Identify the images. A study trains again when the fingerprint changes. It is known before ``setup``.

        Returns:
            16 hexadecimal digits. They are a hash of the names and bytes of the images, independent of ``root``. If the
            images have more than 64 MiB, they are a hash of their names, sizes and times.

        Raises:
            FileNotFoundError: If the folder tree is not as described.
        """
        return content_of([path for files in self._files().values() for path, _ in files], self.root)

    def prepare_data(self) -> None:
        if self.cache is not None:  # one process decodes and writes, and all processes read in `setup`
            self.load()

    def load(self) -> ImageSource:
        files = self._files()
        fits = self._fit_into_memory(files)
        held = self._in_memory if fits else self._on_disk
        images = {part: held(part, listed) for part, listed in files.items()}
        return ImageSource(
            train=images["train"],
            test=images["test"],
            validation=images.get("val"),
            normalization=self._normalization(images["train"]),
            classes=class_names(self.root),
            workers=0 if fits else self.workers,
        )

    def _files(self) -> dict[str, LabelledFiles]:
        classes = class_names(self.root)
        parts = ("train", "val", "test") if (self.root / "val").is_dir() else ("train", "test")
        return {part: labelled_files(self.root, part, classes) for part in parts}

    def _fit_into_memory(self, files: Mapping[str, LabelledFiles]) -> bool:
        decoded_bytes = math.prod(self.decoder.shape) * sum(len(listed) for listed in files.values())
        fits = decoded_bytes <= self.memory_limit * 1e9
        enough = math.ceil(decoded_bytes / 1e6) / 1e3  # gigabytes, rounded up
        remedy = f"be False, or `memory_limit` {enough} gigabytes or more: above the limit images are read from disk"
        require(fits or not self.on_device, "ImageFolders", "on_device", True, remedy)
        return fits

    def _in_memory(self, part: str, files: LabelledFiles) -> ImageSet:
        paths = [path for path, _ in files]
        decode = partial(decode_all, paths, self.decoder, self.workers)
        if self.cache is None:
            images = decode()
        else:
            name = f"{part}-{fingerprint(paths, self.root, self.decoder)}.pt"
            images = cached(Path(self.cache, name).expanduser(), decode)
        return ImagesInMemory(images, torch.tensor([label for _, label in files]))

    def _on_disk(self, part: str, files: LabelledFiles) -> ImageSet:
        return ImagesOnDisk(files, self.decoder)

    def _normalization(self, train: ImageSet) -> Normalization:
        if self.mean is not None and self.std is not None:
            return Normalization(tuple(self.mean), tuple(self.std))
        if isinstance(train, ImagesInMemory):
            return normalization_of(train.images)
        images, _ = train.__getitems__(shuffled(len(train), seed=0)[:SAMPLE])
        return normalization_of(images)
