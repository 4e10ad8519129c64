"""Cache decoded images in a tensor file that is named after the image files and settings."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lightning_prune.basics.write_whole import write_whole


def fingerprint(paths: Sequence[Path], root: Path, *settings: object) -> str:
    """Hash the names, sizes and times of files, together with settings.

    Args:
        paths: The files, all below ``root``.
        root: The folder of the files. It may move without a new fingerprint.
        *settings: Everything else that the result depends on. Each value needs a stable ``repr``.

    Returns:
        16 hexadecimal digits, which change when a file or a setting changes.

    Example:
        >>> fingerprint([], Path(), 32) == fingerprint([], Path(), 32)
        True
        >>> fingerprint([], Path(), 32) == fingerprint([], Path(), 64)
        False
    """
    digest = hashlib.sha256(repr(settings).encode())
    for path in paths:
        status = path.stat()
        digest.update(repr((path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def cached(file: Path, make: Callable[[], Tensor]) -> Tensor:
    """Read the tensor from ``file``. If there is no file, make the tensor and write the file.

    The file is written under another name and then renamed. So it is complete or
    absent, even if other processes use it or the run is stopped.

    Args:
        file: The file of the tensor. Its folder is created.
        make: Makes the tensor if there is no file.

    Returns:
        The tensor, read or made.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     first = cached(Path(folder, "one.pt"), make=lambda: torch.ones(1))
        ...     cached(Path(folder, "one.pt"), make=lambda: torch.zeros(1))
        tensor([1.])
    """
    if file.exists():
        return torch.load(file, weights_only=True)  # type: ignore[no-any-return]
    tensor = make()
    write_whole(file, partial(torch.save, tensor))
    return tensor
