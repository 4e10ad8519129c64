"""Estimate the running statistics of BatchNorm for weights that were never trained, as those between two networks."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.losses import Measure
from lightning_prune.regimes.steady_batches import size_of
from lightning_prune.regimes.sums import total, world_size


def layers_with_statistics(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of a module that have running statistics.

    Raises:
        ValueError: If one of them exchanges statistics between processes, which see different numbers of batches.
    """
    layers = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]
    if world_size() > 1 and any(isinstance(one, SyncBatchNorm) for one in layers):
        raise UserError(
            f"barrier(...) cannot estimate the statistics of SyncBatchNorm in {type(module).__name__} on several "
            "processes. Give modules with plain BatchNorm layers, into which their checkpoints can be loaded."
        )
    return layers


def estimate_statistics_(
    module: nn.Module, layers: Iterable[_BatchNorm], batches: Iterable[tuple[Any]], run: Measure
) -> None:
    """Replace running statistics by their average over batches, weighted by the sizes of the batches.

    Only the BatchNorm layers are in train mode, so nothing is drawn for dropout. A single example that is left over for
    the last batch has no variance and is left out.

    Args:
        module: The module, in eval mode.
        layers: The layers to estimate.
        batches: The batches of this process, each in a tuple.
        run: Runs the module on a batch.
    """
    layers, seen, largest = list(layers), 0, 0
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    for (batch,) in batches:
        size = size_of(batch)
        if size == 1 < largest:
            continue
        seen, largest = seen + size, max(size, largest)
        for layer in layers:
            layer.momentum = size / seen
        run(module, batch)
    for layer in layers:
        layer.eval()
        _average_(layer, seen)


def _average_(layer: _BatchNorm, seen: int) -> None:
    """Average the statistics of a layer over the processes, weighted by the examples that each has seen."""
    if world_size() == 1:
        return
    buffers: list[Tensor] = [one for one in (layer.running_mean, layer.running_var) if one is not None]
    whole = total(torch.tensor(float(seen), dtype=torch.float64))
    for buffer in buffers:
        buffer.copy_(total(buffer.double() * seen) / whole.to(buffer.device))
