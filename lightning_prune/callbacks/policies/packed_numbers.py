"""Pack long columns of numbers that change smoothly, such as the rates of a schedule, without losing a bit."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ORDERS = range(4)  # of differences: the third ones of a cosine are a few units in the last place


def pack_columns(numbers: Tensor) -> Tensor:
    """Pack numbers by the differences from one row to the next.

    The bits of a float64 count its neighbors, so smooth numbers have smooth bits. The differences of these whole
    numbers, taken up to three times, are small and compress well. Numbers without any pattern keep their 8 bytes each.

    Args:
        numbers: A float64 or int64 tensor of shape ``[rows, columns]``.

    Returns:
        A flat uint8 tensor.

    Example:
        >>> rates = torch.linspace(0.1, 0.0, 100_000, dtype=torch.float64)[:, None]
        >>> packed = pack_columns(rates)
        >>> packed.numel() < 100_000, torch.equal(unpack_columns(packed, 1, torch.float64), rates)
        (True, True)
    """
    bits = np.ascontiguousarray(numbers.numpy().view(np.int64).T)
    order = min(_ORDERS, key=lambda order: _cost(_differences(bits, order)))
    differences = _differences(bits, order)
    unsigned = (differences << 1) ^ (differences >> 63)  # small numbers of either sign have zeros in the high bytes
    planes = np.ascontiguousarray(unsigned.reshape(-1, 1).view(np.uint8).T)
    return torch.from_numpy(np.frombuffer(bytes([order]) + zlib.compress(planes.tobytes()), dtype=np.uint8).copy())


def unpack_columns(packed: Tensor, columns: int, dtype: torch.dtype) -> Tensor:
    """Undo :func:`pack_columns`.

    Args:
        packed: The packed numbers.
        columns: The number of columns, at least 1.
        dtype: The type of the numbers, float64 or int64.

    Returns:
        The numbers, of shape ``[rows, columns]``.
    """
    order, *_ = packed[:1].tolist()
    planes = np.frombuffer(zlib.decompress(packed[1:].numpy().tobytes()), dtype=np.uint8).reshape(8, -1)
    unsigned = np.ascontiguousarray(planes.T).view(np.uint64).reshape(columns, -1)
    bits = ((unsigned >> 1) ^ (0 - (unsigned & 1))).view(np.int64)
    for _ in range(order):
        bits = np.cumsum(bits, axis=1, dtype=np.int64)
    return torch.from_numpy(np.ascontiguousarray(bits.T)).view(dtype)


def _differences(bits: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Differences along the rows, which whole numbers of 64 bits undo exactly even where they overflow."""
    for _ in range(order):
        bits = np.diff(bits, axis=1, prepend=0)
    return bits


def _cost(differences: NDArray[np.int64]) -> float:
    """About how many bits the differences need."""
    return float(np.log2(np.abs(differences.astype(np.float64)) + 1).sum())
