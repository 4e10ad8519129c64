"""RigL: drop by magnitude, grow by the magnitude of the gradient."""

from typing import Any

import lightning.pytorch as pl
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune.allocation import Allocation, erk
from lightning_prune.callbacks.dynamic.owned import owned_names
from lightning_prune.callbacks.dynamic.rewiring import Rewiring
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.schedules.rates.curves import cosine
from lightning_prune.selection.prunable import Prunable, Selection


class RigL(Rewiring):
    """Train sparsely from the start: drop the smallest weights, and grow where the gradient is largest.

    The first masks are random. Every ``every`` steps, a fraction of the living weights of each tensor is dropped. As
    many weights grow where the absolute gradient of the loss is highest, among all that were not kept. A weight that
    was dropped a moment ago may come back so, and then keeps its value. Others start at zero. Each tensor has exactly
    as many living weights at every moment. The fraction falls to zero along half a cosine, and from ``until`` on the
    masks stay. The update takes the place of an optimizer step, as in the authors' code. Gradients are used as the step
    would use them: over all processes, unscaled, and summed over accumulated batches. If they overflow, the update
    waits for the next step. The authors' code adds tiny noise to the magnitudes, and this callback does not.

    Reference: Evci, Gale, Menick, Castro & Elsen, Rigging the Lottery: Making All Tickets Winners, 2020,
    https://arxiv.org/abs/1911.11134. They take ``prunable=Prunable(first_layer=False)`` with a uniform allocation.

    Args:
        sparsity: The fraction of the prunable weights that is dead, in (0, 1).
        allocation: How many weights each tensor keeps: ``erk``, ``layerwise`` for the same sparsity everywhere,
            ``globally`` for random counts, ``balanced``, or any other.
        every: How often masks are updated: ``"100it"`` for optimizer steps, ``"1ep"`` for epochs.
        fraction: The fraction of the living weights that the first update moves, in (0, 1], rounded down.
        until: When the updates end: a fraction of the fit as a float, or ``"20000it"`` or ``"30ep"``.
        prunable: Selects the weights.
        seed: Decides the first masks.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, beside ``IterativePruning``, another
            callback of this family, or an optimizer that searches along a line.

    Example:
        >>> callbacks = [RigL(sparsity=0.9, every="100it")]
        >>> round(callbacks[0].fraction, 2)
        0.3
    """

    def __init__(
        self,
        sparsity: float = 0.9,
        allocation: Allocation = erk,
        every: str | int = "100it",
        fraction: float = 0.3,
        until: str | float = 0.75,
        prunable: Selection = Prunable(),
        seed: int = 0,
    ) -> None:
        super().__init__(sparsity, allocation, every, fraction, until, prunable, seed)
        self._clipping: float | None = None  # the user's, while an update takes the place of a step

    def fraction_at(self, step: int) -> float:
        return cosine(self.fraction, 0.0, min(step / max(self._end, 1), 1.0))

    @property
    def reads_gradients(self) -> bool:
        return bool(self._waiting)

    def growing(self, name: str, weight: Tensor) -> Tensor:
        gradient = self._pruner.weights[name].grad
        assert gradient is not None
        return gradient.detach().abs()

    def step_begins(self, trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
        mine = self._waiting.intersection(owned_names(self._pruner.weights, optimizer)) if self._waiting else ()
        seen = [name for name in mine if self._pruner.weights[name].grad is not None]
        if not seen or not _are_whole(trainer, optimizer):
            return False
        self.rewire_(trainer, seen, [optimizer], at_once=False)
        self._waiting -= set(mine)
        for parameter in owned_by(optimizer):
            parameter.grad = None  # the step changes nothing, and is counted
        if trainer.gradient_clip_algorithm == "value":
            self._clipping, trainer.gradient_clip_val = trainer.gradient_clip_val, None  # torch cannot clip nothing
        return True

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._clip_again(trainer)
        super().on_train_batch_end(trainer, pl_module)

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._clip_again(trainer)
        super().on_exception(trainer)

    def _clip_again(self, trainer: "pl.Trainer") -> None:
        if self._clipping is not None:
            trainer.gradient_clip_val, self._clipping = self._clipping, None


def _are_whole(trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
    """Whether the gradients that an optimizer is about to use are finite. They are unscaled first."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
        scaler.unscale_(optimizer)  # Lightning leaves this to fused optimizers
    return all(bool(one.grad.isfinite().all()) for one in owned_by(optimizer) if one.grad is not None)
