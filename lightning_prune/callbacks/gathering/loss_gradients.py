"""Take gradients of the module's loss through ``training_step`` on a few batches."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.averaged_gradients import average
from lightning_prune.callbacks.gathering.traceless import gradients_required
from lightning_prune.callbacks.gathering.training_steps import loss_in, reason_against, training_steps
from lightning_prune.criteria.evidence import MEASURED

_SCALE_DOWN = 1 / 16


def measure(
    trainer: "pl.Trainer", weights: Mapping[str, Tensor], kinds: Sequence[str], batches: Sequence[Any], seed: int
) -> dict[str, dict[str, Tensor]]:
    """Take gradients of the loss on batches, over all processes together.

    The loss is scaled as in training. If the gradients still overflow, the scale is made smaller and smaller.

    Args:
        trainer: The trainer.
        weights: The weights, by name.
        kinds: What to measure: ``gradient``, ``squared_gradient``, ``hessian_gradient``.
        batches: The batches, at least one, as many on every process.
        seed: Decides the random numbers of the module, such as dropout. They are the same in each pass over a batch.

    Returns:
        Tensors of the shapes of the weights, by kind and name, at least float32.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    scale = float(scaler.get_scale()) if scaler is not None else 1.0
    parts = list(weights.values())
    losses, joined = partial(_losses, trainer, batches, seed), partial(trainer.strategy.reduce, reduce_op="mean")
    with gradients_required(parts):
        while True:
            found = average(losses, parts, kinds, type(trainer.lightning_module).__name__, scale, joined)
            if scale <= 1 or all(tensor.isfinite().all() for values in found.values() for tensor in values):
                return {kind: dict(zip(weights, values, strict=True)) for kind, values in found.items()}
            scale = max(scale * _SCALE_DOWN, 1.0)


def refuse(module: "pl.LightningModule", weights: Mapping[str, Tensor], what: str, kinds: Sequence[str] = ()) -> None:
    """Refuse modules whose gradients cannot be taken, or activations seen, through ``training_step``.

    Args:
        module: The module.
        weights: Its prunable weights.
        what: What asks for them, for the error.
        kinds: What is to be measured.

    Raises:
        ValueError: If weights are sharded, the module optimizes by hand, ``training_step`` fetches its batches, or
            second derivatives are asked for by complex weights.
    """
    if "hessian_gradient" in kinds and any(weight.is_complex() for weight in weights.values()):
        named = next(name for name, weight in weights.items() if weight.is_complex())
        reason = f"{named!r} is complex, and second derivatives are taken by real weights; exclude it with prunable"
    elif (found := reason_against(module, weights.values())) is not None:
        reason = found
    else:
        return
    does, without = "take gradients", "gradients"
    if kinds and not set(kinds) & set(MEASURED):
        does, without = "look at activations", "activations"
    raise UserError(
        f"IterativePruning(criterion={what}) cannot {does}: {reason}, or give a criterion without {without}, such as "
        "lightning_prune.magnitude."
    )


def _losses(trainer: "pl.Trainer", batches: Sequence[Any], seed: int) -> Iterator[Tensor]:
    """The loss of each batch that has one."""
    for step in training_steps(trainer, batches, seed):
        if (loss := loss_in(step())) is not None:
            yield loss
