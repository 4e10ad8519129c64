"""Where the evidence of a prune comes from: a fit of Lightning, or a loss and batches that the user gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import lightning.pytorch as pl
from torch import Tensor, nn

from lightning_prune.callbacks.gathering import loss_gradients, synaptic_flow
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import draw


class Source(ABC):
    """The network that is pruned, and what can be measured on it.

    Attributes:
        module: The network.
    """

    module: nn.Module

    @abstractmethod
    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        """Refuse to measure gradients where they cannot be taken.

        Args:
            weights: The prunable weights by name.
            what: The criterion, for the error.
            kinds: What is to be measured.

        Raises:
            ValueError: If they cannot be taken.
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
    def ones(self, seed: int) -> Tensor:
        """The input of SynFlow: ones in the shape of one example, where the network is.

        Args:
            seed: Decides which batch tells the shape.
        """


class OfFit(Source):
    """The module and the training data of a fit.

    Args:
        trainer: The trainer, in a fit.
    """

    def __init__(self, trainer: "pl.Trainer") -> None:
        self._trainer = trainer
        self.module = trainer.lightning_module

    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        loss_gradients.refuse(self._trainer.lightning_module, weights, what, kinds)

    def without_trace(self, seed: int) -> AbstractContextManager[None]:
        return without_trace(self._trainer, seed)

    def gradients(
        self, weights: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
    ) -> dict[str, dict[str, Tensor]]:
        return loss_gradients.measure(self._trainer, weights, kinds, draw(self._trainer, batches, seed), seed)

    def ones(self, seed: int) -> Tensor:
        return synaptic_flow.ones_for(self._trainer, seed)
