"""Whether the files were decoded before: one tensor file, named after what it was made of."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lightning_prune.basics.write_whole import write_whole


def fingerprint(paths: Sequence[Path], root: Path, *settings: object) -> str:
    """Name a list of files as they are now: their names, sizes and times, and what is made of them.

    Args:
        paths: The files, all below ``root``.
        root: The folder that may move without a new fingerprint.
        *settings: What else the result depends on; anything with a stable ``repr``.

    Returns:
        16 hexadecimal digits, other ones as soon as a file or a setting changes.

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
    """Read the tensor from ``file``, or make it and write the file.

    The file is written aside and renamed, so that it is whole or absent,
    whoever else reads or writes it and whenever the run is stopped.

    Args:
        file: Where the tensor is kept; its folder is created.
        make: Makes the tensor where the file is absent.

    Returns:
        The tensor, the same either way.

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
