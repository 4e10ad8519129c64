"""Run the dense and the pruned network on the same batches, and look at one layer after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.random_state import seed_all
from lightning_prune.callbacks.gathering.activations.measure import all_operations
from lightning_prune.callbacks.gathering.source import Source
from lightning_prune.callbacks.starting_points.repairing.dense_copy import DenseCopy
from lightning_prune.callbacks.starting_points.repairing.repairable import Layer

Seen = Callable[[int, nn.Module, Tensor, Tensor], None]


class Calibration:
    """The layers of a pruned network in the order in which they run, and what the dense network gives on batches.

    Use it inside the ``without_trace`` of its source. The network is in evaluation mode.

    Args:
        source: The network and its batches.
        layers: The layers by the names of their weights.
        dense: The dense network.
        masks: The masks by name, true where a weight is alive.
        batches: The number of batches.
        seed: Decides the batches.

    Attributes:
        order: The names of the layers that run, in the order in which they run first.
        layers: The layers.
        masks: The masks.
        changed: The names of the parameters that a repair may set.
    """

    def __init__(
        self,
        source: Source,
        layers: Mapping[str, Layer],
        dense: DenseCopy,
        masks: Mapping[str, Tensor],
        batches: int,
        seed: int,
    ) -> None:
        self.source, self.layers, self.masks = source, layers, masks
        self._dense, self._seed = dense, seed
        source.module.eval()
        self._steps = list(source.passes(batches, seed))
        self._calls: list[list[str]] = []
        with self.of_dense():
            for index in range(len(self._steps)):
                self._calls.append([])
                self._run(index, layers, lambda name, *_: self._calls[-1].append(name))
        first = list(dict.fromkeys(name for calls in self._calls for name in calls))
        self.order: list[str] = source.agreed(first)
        biases = [layer.bias_name for name, layer in layers.items() if name in self.order]
        self.changed = [*self.order, *(name for name in biases if name is not None)]

    @property
    def batches(self) -> int:
        """How many batches there are on this process."""
        return len(self._steps)

    @contextmanager
    def of_dense(self) -> Iterator[None]:
        """Let the network be the dense one for a while."""
        with self._dense.put_into(self.source.module):
            yield

    def watch(self, names: Sequence[str], seen: Seen, batches: Sequence[int] | None = None) -> None:
        """Run the network on batches until these layers have run, without gradients.

        Args:
            names: The names of the layers.
            seen: Is given the number of the call over all batches, the module, its input and its output.
            batches: The numbers of the batches. None for all.
        """
        count = 0

        def note(name: str, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
            nonlocal count
            seen(count, module, inputs, outputs)
            count += 1

        wanted = {name: self.layers[name] for name in names}
        for index in range(len(self._steps)) if batches is None else batches:
            self._run(index, wanted, note, sum(name in wanted for name in self._calls[index]))

    def until(self, name: str, inputs: bool, index: int) -> Tensor | None:
        """What flows into a layer, or out of it, where it first runs on a batch. Gradients are kept.

        Args:
            name: The name of the layer.
            inputs: Whether its input is wanted. False: its output.
            index: The number of the batch.

        Returns:
            The tensor. None if the layer does not run on this batch.
        """
        found: list[Tensor] = []
        one = {name: self.layers[name]}
        if name in self._calls[index]:
            self._run(index, one, lambda _, __, into, out: found.append(into if inputs else out), 1, nullcontext())
        return found[0] if found else None

    def living(self, name: str) -> Tensor:
        """True where a weight of a layer is alive, in the shape of the weight."""
        weight = self.layers[name].weight
        mask = self.masks.get(name)
        return torch.ones_like(weight, dtype=torch.bool) if mask is None else mask.to(weight.device).bool()

    def _run(self, index: int, layers: Mapping[str, Layer], seen: Any, calls: int = 0, mode: Any = None) -> None:
        """Run one batch. After so many calls of the layers the rest of the network is left out; 0 for never."""
        left = calls

        def hook_for(name: str) -> Any:
            def hook(module: nn.Module, arguments: Any, outputs: Tensor) -> None:
                nonlocal left
                seen(name, module, arguments[0], outputs)
                left -= 1
                if left == 0:
                    raise _EnoughError

            return hook

        hooks = [one.register_forward_hook(hook_for(name)) for name, layer in layers.items() for one in layer.modules]
        seed_all(self._seed + index)  # the same numbers for the dense network and the pruned one
        try:
            with all_operations(), mode or torch.no_grad():
                self._steps[index]()
        except _EnoughError:
            pass
        finally:
            for hook in hooks:
                hook.remove()


class _EnoughError(Exception):
    """The layers have run: the rest of the network is not needed."""
