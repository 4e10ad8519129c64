"""SET: drop by magnitude, grow at random."""

import lightning.pytorch as pl
from torch import Tensor

from lightning_prune import criteria
from lightning_prune.allocation import Allocation, erk
from lightning_prune.callbacks.dynamic.rewiring import Rewiring
from lightning_prune.selection.prunable import Prunable, Selection


class SET(Rewiring):
    """Train sparsely from the start: drop the smallest weights, and grow as many at random.

    The control of ``RigL``, which says what its gradients are worth. The first masks are random. Before the first batch
    of every ``every``, the smallest living weights of each tensor are dropped, and as many others grow at random places
    with the value zero, among all that were not kept. Each tensor has exactly as many living weights at every moment.
    The authors drop the smallest positive and the largest negative weights, each by its fraction. Here the smallest
    absolute values go, as in the comparison of Evci et al.

    Reference: Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity inspired
    by Network Science, 2018, https://arxiv.org/abs/1707.04780.

    Args:
        sparsity: The fraction of the prunable weights that is dead, in (0, 1).
        allocation: How many weights each tensor keeps. ``erk`` without kernels is the paper's, up to a factor.
        every: How often masks are updated: ``"1ep"`` for epochs, ``"100it"`` for optimizer steps.
        fraction: The fraction of the living weights that each update moves, in (0, 1], rounded down.
        until: When the updates end: a fraction of the fit as a float, or ``"20000it"`` or ``"30ep"``.
        prunable: Selects the weights.
        seed: Decides the first masks and what grows, with the number of the update and the name of the tensor.

    Raises:
        ValueError: As for ``RigL``.

    Example:
        >>> callbacks = [SET(sparsity=0.9, every="1ep")]
        >>> callbacks[0].fraction_at(1000)
        0.3
    """

    def __init__(
        self,
        sparsity: float = 0.9,
        allocation: Allocation = erk,
        every: str | int = "1ep",
        fraction: float = 0.3,
        until: str | float = 1.0,
        prunable: Selection = Prunable(),
        seed: int = 0,
    ) -> None:
        super().__init__(sparsity, allocation, every, fraction, until, prunable, seed)

    def growing(self, name: str, weight: Tensor) -> Tensor:
        return criteria.random(weight, self._pruner.gatherer.for_weight(self._round, name, None, weight.device))

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        super().batch_begins(trainer)
        if self._waiting:
            self.rewire_(trainer, self._waiting, trainer.optimizers)
            self._waiting = set()
