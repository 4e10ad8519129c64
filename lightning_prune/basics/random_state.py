"""Save and restore the random generators of torch, numpy, Python and the GPU, and draw without changing them."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def take() -> dict[str, Any]:
    """The state of the random generators of this process.

    Example:
        >>> state = take()
        >>> first = torch.rand(1)
        >>> put_back(state)
        >>> torch.equal(torch.rand(1), first)
        True
    """
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global generator, which users draw from
    return {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def put_back(state: dict[str, Any]) -> None:
    """Set the random generators to a state of :func:`take`."""
    name, keys, *rest = state["numpy"]
    torch.set_rng_state(state["torch"].cpu())
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


@contextmanager
def forked(seed: int) -> Iterator[None]:
    """Seed all generators inside this context, and restore their states afterwards.

    Args:
        seed: The seed, in [0, 2^63).

    Example:
        >>> before = torch.get_rng_state()
        >>> with forked(1):
        ...     _ = torch.rand(1)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    state = take()
    try:
        seed_all(seed)
        yield
    finally:
        put_back(state)


def seed_all(seed: int) -> None:
    """Seed the global random generators of this process.

    Args:
        seed: The seed, in [0, 2^63).
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator, which users draw from
    random.seed(seed)


def seed_of(*parts: object) -> int:
    """Make a seed that depends on all of its parts, such as a seed, a cycle and a name.

    Args:
        parts: Values whose texts name one purpose.

    Returns:
        The same seed for the same parts, in [0, 2^63).

    Example:
        >>> seed_of(0, 1, "a") == seed_of(0, 1, "a"), seed_of(0, 1) == seed_of(0, 2)
        (True, False)
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
