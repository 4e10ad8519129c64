"""Take the derivative of the loss by a factor on each unit, on batches of training data."""

from collections.abc import Mapping

import lightning.pytorch as pl
from torch import Tensor

from lightning_prune.callbacks.gathering import loss_gradients
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import draw
from lightning_prune.granularity.base import Units


def squared_gate_gradients(
    trainer: "pl.Trainer", units: Units, tensors: Mapping[str, Tensor], batches: int, seed: int, what: str
) -> dict[str, Tensor]:
    """Average the squared derivative of the loss by a factor 1 on each unit over batches of all processes.

    The derivative is the sum of parameter times gradient over the scale and shift of the unit's norms, and over the
    rows and biases that compute it. Behind a BatchNorm with the statistics of the batch the rows add nothing, since the
    loss does not change with their scale.

    Args:
        trainer: The trainer, in a fit.
        units: The units.
        tensors: The parameters that the units lie in, by name.
        batches: The number of batches.
        seed: Decides the batches, and what the module draws.
        what: What asks for it, for the error.

    Returns:
        For each group one number a unit.

    Raises:
        ValueError: If gradients cannot be taken, or the units have no gates.
    """
    loss_gradients.refuse(trainer.lightning_module, tensors, what)
    totals: dict[str, Tensor] = {}
    with without_trace(trainer, seed):
        drawn = draw(trainer, batches, seed)
        for number, batch in enumerate(drawn):
            found = loss_gradients.measure(trainer, tensors, ["gradient"], [batch], seed + number)["gradient"]
            products = {name: tensors[name].detach() * gradient for name, gradient in found.items()}
            for group in units.shapes:
                square = units.gate_sums(group, products.__getitem__).square()
                totals[group] = totals[group] + square if group in totals else square
    return {group: total / len(drawn) for group, total in totals.items()}
