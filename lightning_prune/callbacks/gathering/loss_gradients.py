"""Take gradients of the module's loss through ``training_step`` on a few batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.traceless import gradients_required
from lightning_prune.callbacks.gathering.training_steps import loss_in, reason_against, training_steps

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
    with gradients_required(parts):
        while True:
            found = _measure(trainer, parts, kinds, batches, seed, scale)
            if scale <= 1 or all(tensor.isfinite().all() for values in found.values() for tensor in values):
                return {kind: dict(zip(weights, values, strict=True)) for kind, values in found.items()}
            scale = max(scale * _SCALE_DOWN, 1.0)


def refuse(module: "pl.LightningModule", weights: Mapping[str, Tensor], what: str, kinds: Sequence[str] = ()) -> None:
    """Refuse modules whose gradients cannot be taken through ``training_step``.

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
    raise UserError(
        f"IterativePruning(criterion={what}) cannot take gradients: {reason}, or give a criterion without gradients, "
        "such as lightning_prune.magnitude."
    )


def _measure(
    trainer: "pl.Trainer", parts: list[Tensor], kinds: Sequence[str], batches: Sequence[Any], seed: int, scale: float
) -> dict[str, list[Tensor]]:
    mean, squares, done = _zeros(parts), _zeros(parts) if "squared_gradient" in kinds else None, 0
    for loss in _losses(trainer, batches, seed):
        done += 1
        for i, gradient in enumerate(_reduced(trainer, torch.autograd.grad(loss * scale, parts, **_LAX), scale)):
            mean[i] += gradient
            if squares is not None:
                squares[i] += gradient.square()
    if not done:
        raise UserError("training_step returned None for every batch that a criterion wanted gradients of.")
    found = {"gradient": [total / done for total in mean]}
    if squares is not None:
        found["squared_gradient"] = [total / done for total in squares]
    if "hessian_gradient" in kinds:
        found["hessian_gradient"] = _hessian_times(trainer, parts, found["gradient"], batches, seed, scale)
    return {kind: values for kind, values in found.items() if kind in kinds}


def _hessian_times(
    trainer: "pl.Trainer", parts: list[Tensor], vector: list[Tensor], batches: Sequence[Any], seed: int, scale: float
) -> list[Tensor]:
    """The Hessian of the mean loss times a vector: the gradient of the product of gradient and vector."""
    total, done = _zeros(parts), 0
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
        for loss in _losses(trainer, batches, seed):
            done += 1
            second = _second(trainer.lightning_module, loss * scale, parts, vector)
            for i, part in enumerate(_reduced(trainer, second, scale)):
                total[i] += part
    return [part / done for part in total]


def _second(module: "pl.LightningModule", loss: Tensor, parts: list[Tensor], vector: list[Tensor]) -> Sequence[Tensor]:
    try:
        first = torch.autograd.grad(loss, parts, create_graph=True, **_LAX)
        product = torch.stack([(g * v.to(g.dtype)).sum().float() for g, v in zip(first, vector, strict=True)]).sum()
        return torch.autograd.grad(product, parts, **_LAX) if product.requires_grad else _zeros(parts)
    except RuntimeError as error:
        said = str(error).strip().split("\n")[0].rstrip(".")
        if not any(word in said for word in ("derivative", "differentia", "twice")):
            raise
        raise UserError(
            f"The criterion takes second derivatives (grasp), and {type(module).__name__} has an operation without "
            f"one: {said}. Exchange the operation, or give a criterion without them, such as snip."
        ) from error


_LAX: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}  # a weight may be out of use in a batch


def _losses(trainer: "pl.Trainer", batches: Sequence[Any], seed: int) -> Iterator[Tensor]:
    """The loss of each batch that has one."""
    for step in training_steps(trainer, batches, seed):
        if (loss := loss_in(step())) is not None:
            yield loss


def _reduced(trainer: "pl.Trainer", gradients: Sequence[Tensor], scale: float) -> Iterator[Tensor]:
    """The gradients of the joint batch of all processes, unscaled."""
    for gradient in gradients:
        wide = gradient.detach().to(torch.promote_types(gradient.dtype, torch.float32)).contiguous()
        yield trainer.strategy.reduce(wide, reduce_op="mean") / scale


def _zeros(parts: Sequence[Tensor]) -> list[Tensor]:
    return [
        torch.zeros(part.shape, dtype=torch.promote_types(part.dtype, torch.float32), device=part.device)
        for part in parts
    ]
