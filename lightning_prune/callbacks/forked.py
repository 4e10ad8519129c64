"""Drawing apart: what is drawn in a block comes from a seed, and nobody outside notices."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from lightning_prune.callbacks.random_state import put_back, take


@contextmanager
def forked(seed: int) -> Iterator[None]:
    """Draw from generators with a seed, and put the state of all of them back afterwards.

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
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator, which users draw from
        random.seed(seed)
        yield
    finally:
        put_back(state)
