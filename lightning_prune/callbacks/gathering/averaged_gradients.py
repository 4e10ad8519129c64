"""Average gradients of losses, their squares, and products of the Hessian with them, over a few batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lightning_prune.basics.user_error import UserError

Losses = Callable[[], Iterable[Tensor]]


def average(
    losses: Losses,
    parts: Sequence[Tensor],
    kinds: Sequence[str],
    owner: str,
    scale: float = 1.0,
    joined: Callable[[Tensor], Tensor] = lambda gradient: gradient,
) -> dict[str, list[Tensor]]:
    """Take the gradients of losses by weights, and average them.

    Args:
        losses: Computes the losses of the batches, each with a graph. Every call must give the same losses.
        parts: The weights.
        kinds: What to measure: ``gradient``, ``squared_gradient``, ``hessian_gradient``.
        owner: The class of the network, for the errors.
        scale: The factor on the losses. The gradients are divided by it again.
        joined: Maps a gradient of this process to that of all processes together.

    Returns:
        Tensors of the shapes of the weights, by kind, at least float32.

    Raises:
        ValueError: If there is no loss, or the network has an operation without the second derivative that is asked
            for.

    Example:
        >>> weight = torch.tensor([2.0], requires_grad=True)
        >>> average(lambda: (factor * weight.sum() for factor in (1, 3)), [weight], ["gradient"], "Net")
        {'gradient': [tensor([2.])]}
    """
    mean, squares, done = _zeros(parts), _zeros(parts) if "squared_gradient" in kinds else None, 0
    for loss in losses():
        done += 1
        for i, gradient in enumerate(_joined(torch.autograd.grad(loss * scale, parts, **_LAX), scale, joined)):
            mean[i] += gradient
            if squares is not None:
                squares[i] += gradient.square()
    if not done:
        raise UserError("training_step returned None for every batch that a criterion wanted gradients of.")
    found = {"gradient": [total / done for total in mean]}
    if squares is not None:
        found["squared_gradient"] = [total / done for total in squares]
    if "hessian_gradient" in kinds:
        found["hessian_gradient"] = _hessian_times(losses, parts, found["gradient"], owner, scale, joined)
    return {kind: values for kind, values in found.items() if kind in kinds}


def _hessian_times(
    losses: Losses,
    parts: Sequence[Tensor],
    vector: list[Tensor],
    owner: str,
    scale: float,
    joined: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """The Hessian of the mean loss times a vector: the gradient of the product of gradient and vector."""
    total, done = _zeros(parts), 0
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
        for loss in losses():
            done += 1
            second = _second(owner, loss * scale, parts, vector)
            for i, part in enumerate(_joined(second, scale, joined)):
                total[i] += part
    return [part / done for part in total]


def _second(owner: str, loss: Tensor, parts: Sequence[Tensor], vector: list[Tensor]) -> Sequence[Tensor]:
    try:
        first = torch.autograd.grad(loss, parts, create_graph=True, **_LAX)
        product = torch.stack([(g * v.to(g.dtype)).sum().float() for g, v in zip(first, vector, strict=True)]).sum()
        return torch.autograd.grad(product, parts, **_LAX) if product.requires_grad else _zeros(parts)
    except RuntimeError as error:
        said = str(error).strip().split("\n")[0].rstrip(".")
        if not any(word in said for word in ("derivative", "differentia", "twice")):
            raise
        raise UserError(
            f"The criterion takes second derivatives (grasp), and {owner} has an operation without "
            f"one: {said}. Exchange the operation, or give a criterion without them, such as snip."
        ) from error


_LAX: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}  # a weight may be out of use in a batch


def _joined(gradients: Sequence[Tensor], scale: float, joined: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """The gradients of the joint batch of all processes, unscaled."""
    for gradient in gradients:
        wide = gradient.detach().to(torch.promote_types(gradient.dtype, torch.float32)).contiguous()
        yield joined(wide) / scale


def _zeros(parts: Sequence[Tensor]) -> list[Tensor]:
    return [
        torch.zeros(part.shape, dtype=torch.promote_types(part.dtype, torch.float32), device=part.device)
        for part in parts
    ]
