"""Where the evidence of a prune comes from: a fit of Lightning, or a loss and batches that the user gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.callbacks.gathering import loss_gradients, synaptic_flow
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import draw
from lightning_prune.callbacks.gathering.training_steps import training_steps


class Source(ABC):
    """The network that is pruned, and what can be measured on it.

    Attributes:
        module: The network.
        alone: Whether there is one process only.
    """

    module: nn.Module
    alone: bool = True

    @abstractmethod
    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        """Refuse to measure gradients or activations where that is impossible.

        Args:
            weights: The prunable weights by name.
            what: The criterion, for the error.
            kinds: What is to be measured.

        Raises:
            ValueError: If it is impossible.
        """

    @abstractmethod
    def without_trace(self, seed: int) -> AbstractContextManager[None]:
        """Let the network be used, and put back what that changes.

        Args:
            seed: Decides what is drawn in the meantime, in [0, 2^63).
        """

    @abstractmethod
    def gradients(
        self, weights: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
    ) -> dict[str, dict[str, Tensor]]:
        """Take gradients of the loss.

        Args:
            weights: The prunable weights by name.
            kinds: What to measure: ``gradient``, ``squared_gradient``, ``hessian_gradient``.
            batches: On how many batches, at least 1.
            seed: Decides what is drawn.

        Returns:
            Tensors of the shapes of the weights, by kind and name, at least float32.
        """

    @abstractmethod
    def passes(self, batches: int, seed: int) -> Iterator[Callable[[], object]]:
        """Prepare passes of the network over batches.

        Args:
            batches: How many batches, at least 1.
            seed: Decides which batches.

        Yields:
            A function that lets the network run on a batch.
        """

    @abstractmethod
    def ones(self, seed: int) -> Tensor:
        """The input of SynFlow: ones in the shape of one example, where the network is.

        Args:
            seed: Decides which batch tells the shape.
        """

    def summed(self, tensor: Tensor) -> Tensor:
        """Add up the tensors of all processes."""
        return tensor

    def agreed(self, names: list[str]) -> list[str]:
        """The names that the first process has."""
        return names

    def joined(self, matrix: Tensor) -> Tensor:
        """Put the columns of all processes side by side, however many each has."""
        return matrix

    def of_first(self, tensor: Tensor) -> Tensor:
        """The tensor of the first process."""
        return tensor

    def forward_context(self) -> AbstractContextManager[Any]:
        """The precision in which the network runs."""
        return nullcontext()


class OfFit(Source):
    """The module and the training data of a fit.

    Args:
        trainer: The trainer, in a fit.
    """

    def __init__(self, trainer: "pl.Trainer") -> None:
        self._trainer = trainer
        self.module = trainer.lightning_module
        self.alone = trainer.world_size == 1

    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        loss_gradients.refuse(self._trainer.lightning_module, weights, what, kinds)

    def without_trace(self, seed: int) -> AbstractContextManager[None]:
        return without_trace(self._trainer, seed)

    def gradients(
        self, weights: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
    ) -> dict[str, dict[str, Tensor]]:
        return loss_gradients.measure(self._trainer, weights, kinds, draw(self._trainer, batches, seed), seed)

    def passes(self, batches: int, seed: int) -> Iterator[Callable[[], object]]:
        return training_steps(self._trainer, draw(self._trainer, batches, seed), seed)

    def summed(self, tensor: Tensor) -> Tensor:
        total: Tensor = self._trainer.strategy.reduce(tensor, reduce_op="sum")
        return total

    def agreed(self, names: list[str]) -> list[str]:
        first: list[str] = names if self.alone else self._trainer.strategy.broadcast(names)
        return first

    def joined(self, matrix: Tensor) -> Tensor:
        if self.alone:
            return matrix
        own = matrix.shape[1]
        longest = int(self._trainer.strategy.reduce(matrix.new_tensor(float(own)), reduce_op="max"))
        parts = matrix.new_zeros(self._trainer.world_size, len(matrix), longest)
        parts[self._trainer.global_rank] = torch.nn.functional.pad(matrix, (0, longest - own), value=float("nan"))
        columns = self.summed(parts).transpose(0, 1).flatten(1)
        return columns[:, ~columns.isnan().all(0)]

    def of_first(self, tensor: Tensor) -> Tensor:
        return tensor if self.alone else self.summed(tensor * (self._trainer.global_rank == 0))

    def forward_context(self) -> AbstractContextManager[Any]:
        return self._trainer.precision_plugin.forward_context()

    def ones(self, seed: int) -> Tensor:
        return synaptic_flow.ones_for(self._trainer, seed)
