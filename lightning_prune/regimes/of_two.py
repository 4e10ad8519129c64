"""Measure two retrained copies: how well they are connected and how similar they are."""

from typing import Any

from torch import nn

from lightning_prune.regimes.barriers import barrier
from lightning_prune.regimes.measured import Measured
from lightning_prune.regimes.similarity import cka
from lightning_prune.regimes.two_networks import Given


def measure(
    a: Given,
    b: Given,
    data: Any,
    density: float = 1.0,
    temperature: Any = None,
    network: nn.Module | None = None,
    progress: bool = False,
) -> Measured:
    """Measure what :func:`~lightning_prune.regimes.advise` needs, as the authors of the three regimes do.

    Args:
        a: The first copy: a module, or the path of a checkpoint.
        b: The second copy. It was retrained from the same pruned network, on the data in another order.
        data: Training data without augmentation, as for :func:`~lightning_prune.regimes.barrier`.
        density: The fraction of the prunable weights that is left, in (0, 1].
        temperature: What tells the dense run from others.
        network: A module like those in the checkpoints, if ``a`` or ``b`` is one.
        progress: Whether to show a progress bar.

    Returns:
        The training error along the line at 11 points, and the CKA of probabilities on 101 batches, in one value.

    Example:
        >>> import torch
        >>> network = nn.Linear(4, 2)
        >>> measure(network, network, [(torch.rand(8, 4), torch.arange(8) % 2)], density=0.2).lmc
        0.0
    """
    line = barrier(a, b, data, network=network, progress=progress)
    similar = cka(a, b, data, network=network)
    return Measured(line.lmc, similar, density, temperature, train_error=line.ends)
