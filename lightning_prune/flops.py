"""What a network costs: floating-point operations by layer, dense and with part of the weights dead."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Flops:
    """The operations of a computation.

    Counted are matrix products, convolutions and attention, a multiplication and an addition as two.

    Args:
        total: All of them.
        by_layer: Those of each layer, without what is called inside it.
    """

    total: int
    by_layer: Mapping[nn.Module, int]

    def pruned(self, densities: Mapping[Tensor, float]) -> float:
        """How many are left where dead weights cost nothing: those of each layer times the density of its weights.

        Args:
            densities: The fraction of each weight that is alive, in [0, 1]; weights that are left out are all alive.

        Returns:
            The operations, at most ``total``.
        """
        return self.total - sum(count * (1 - _density(layer, densities)) for layer, count in self.by_layer.items())


def count_flops(network: nn.Module, run: Callable[[], object]) -> Flops:
    """Count the operations of a computation, by the layers of a network.

    Args:
        network: The network, whose layers are called as modules.
        run: The computation, such as a forward pass.

    Returns:
        The operations.

    Example:
        >>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> flops = count_flops(network, lambda: network(torch.ones(1, 8)))
        >>> flops.total, flops.pruned({network[0].weight: 0.25})
        (80, 32.0)
    """
    counter, open_layers = FlopCounterMode(display=False), [0]  # what was counted inside each layer that is running
    by_layer: dict[nn.Module, int] = {}
    starts: list[int] = []

    def enter(layer: nn.Module, _: Any) -> None:
        starts.append(counter.get_total_flops())
        open_layers.append(0)

    def leave(layer: nn.Module, *_: Any) -> None:
        count = counter.get_total_flops() - starts.pop()
        by_layer[layer] = by_layer.get(layer, 0) + count - open_layers.pop()
        open_layers[-1] += count

    handles = [layer.register_forward_pre_hook(enter) for layer in network.modules()]
    handles += [layer.register_forward_hook(leave) for layer in network.modules()]
    try:
        with _small_operations(), counter:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return Flops(counter.get_total_flops(), by_layer)


@contextmanager
def _small_operations() -> Iterator[None]:
    """Without the libraries that make a whole recurrent layer in one operation, which would not be counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch, of a setting for other devices
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            yield


def _density(layer: nn.Module, densities: Mapping[Tensor, float]) -> float:
    """The fraction of a layer's own matrices that is alive; 1 if it has none."""
    own = list(layer.parameters(recurse=False))
    own += list(layer.parametrizations.parameters()) if is_parametrized(layer) else []  # type: ignore[union-attr]
    matrices = [one for one in own if one.dim() > 1]
    size = sum(one.numel() for one in matrices)
    return sum(one.numel() * densities.get(one, 1.0) for one in matrices) / size if size else 1.0
