"""Hash the content of files, independently of the folder in which they lie."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

READ_WHOLE = 64 * 2**20  # bytes


def content_of(paths: Sequence[Path], root: Path) -> str:
    """Hash the names and bytes of files. If they have more than 64 MiB in all, hash their names, sizes and times.

    Args:
        paths: The files, all below ``root``.
        root: The folder of the files. Its own name does not change the hash.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> content_of([], Path("here")) == content_of([], Path("there"))
        True
    """
    stats = [one.stat() for one in paths]
    small = sum(one.st_size for one in stats) <= READ_WHOLE
    lines = []
    for path, stat in zip(paths, stats, strict=True):
        told = _hash_of(path, stat.st_size, stat.st_mtime_ns) if small else stat.st_mtime_ns
        lines.append(f"{path.relative_to(root)} {stat.st_size} {told}")
    return _digits("\n".join(lines).encode())


@cache
def _hash_of(path: Path, size: int, changed: int) -> str:
    """Hash a file. The file is read again only if it has changed."""
    return _digits(path.read_bytes())


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
