"""Count the floating-point operations of a network by layer, dense and pruned."""

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
    """The floating-point operations of a computation.

    We count matrix products, convolutions and attention. A multiplication and an addition count as two operations.

    Args:
        total: The number of all operations.
        by_layer: The number of operations of each layer, without the layers that it calls.
    """

    total: int
    by_layer: Mapping[nn.Module, int]

    def pruned(self, densities: Mapping[Tensor, float]) -> float:
        """Count the operations if dead weights cost nothing: each layer's count times the density of its weights.

        Args:
            densities: The living fraction of each weight tensor, in [0, 1]. Tensors that are left out are fully alive.

        Returns:
            The number of operations, at most ``total``.
        """
        return self.total - sum(count * (1 - _density(layer, densities)) for layer, count in self.by_layer.items())

    def of_entries(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """Share the operations of each layer out among the entries of its matrices, in equal parts.

        Args:
            weights: Weights by name.

        Returns:
            The number of operations for each entry of a weight, by name.
        """
        shares: dict[Tensor, float] = {}
        for layer, count in self.by_layer.items():
            matrices = matrices_of(layer)
            size = sum(one.numel() for one in matrices)
            for one in matrices:
                shares[one] = shares.get(one, 0.0) + count / size
        return {name: shares.get(weight, 0.0) for name, weight in weights.items()}


def count_flops(network: nn.Module, run: Callable[[], object]) -> Flops:
    """Count the operations of a computation, by layer of a network.

    Args:
        network: The network. Operations count for the module in whose ``forward`` they run.
        run: The computation, such as a forward pass.

    Returns:
        The operations, in total and by layer.

    Example:
        >>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> flops = count_flops(network, lambda: network(torch.ones(1, 8)))
        >>> flops.total, flops.pruned({network[0].weight: 0.25})
        (80, 32.0)
    """
    counter, open_layers = FlopCounterMode(display=False), [0]  # operations counted inside each running layer
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
    """Switch off the libraries that compute a whole recurrent layer in one operation, which cannot be counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about settings for other devices
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            yield


def _density(layer: nn.Module, densities: Mapping[Tensor, float]) -> float:
    """The fraction of a layer's own matrices that is alive. 1 if the layer has no matrices."""
    matrices = matrices_of(layer)
    size = sum(one.numel() for one in matrices)
    return sum(one.numel() * densities.get(one, 1.0) for one in matrices) / size if size else 1.0


def matrices_of(layer: nn.Module) -> list[nn.Parameter]:
    """A layer's own matrices: its parameters with more than one dimension, without those of the layers in it.

    Args:
        layer: The layer.
    """
    own = list(layer.parameters(recurse=False))
    own += list(layer.parametrizations.parameters()) if is_parametrized(layer) else []  # type: ignore[union-attr]
    return [one for one in own if one.dim() > 1]
