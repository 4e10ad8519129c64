"""SAM: step by the gradient at the worst weights nearby, and so prefer flat minima."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor
from torch.nn.utils import get_total_norm

from lightning_prune.basics.checks import check_at_least
from lightning_prune.regimes.sharpness.two_passes import Base, TwoPasses

_TINY = 1e-12


class SAM(TwoPasses):
    """Sharpness-aware minimization around any optimizer, and its adaptive form ASAM.

    Each step takes the gradient ``g`` at the weights, moves them by ``rho * g / norm(g)``, takes the gradient there,
    moves them back, and lets the base optimizer step with this gradient. Weight decay is left to the base. A step costs
    two. ``rho`` is a temperature of the dense run: a larger one is hotter (see the page of regimes). The gradient of a
    dead weight is zero, so dead weights do not move.

    Lightning calls ``training_step`` twice in a step. What it logs is the mean of both passes. Gradients are clipped in
    both. ``accumulate_grad_batches`` above 1 and the gradient scaler of ``precision="16-mixed"`` are refused.

    Reference: Foret, Kleiner, Mobahi & Neyshabur, Sharpness-Aware Minimization for Efficiently Improving
    Generalization, 2021, https://arxiv.org/abs/2010.01412. Kwon, Kim, Park & Choi, ASAM, 2021,
    https://arxiv.org/abs/2102.11600.

    Args:
        params: What to optimize.
        base: Makes the optimizer that steps from ``params``. In YAML: a class path with its arguments.
        rho: How far the weights move, at least 0. Its unit is the norm of all weights. 0 steps as the base does, at
            twice the cost.
        adaptive: ASAM. Each weight moves in proportion to its own size, so ``rho`` does not depend on the scale of the
            weights. It is then larger, about ten times.

    Raises:
        ValueError: If ``rho`` is negative.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = SAM([weight], base=partial(torch.optim.SGD, lr=0.1), rho=0.5)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> float(optimizer.step(closure).detach()), round(weight.item(), 4)  # the gradient at 1.5 is 3
        (1.0, 0.7)
    """

    def __init__(self, params: Iterable[Any], base: Base, rho: float = 0.05, adaptive: bool = False) -> None:
        check_at_least(self, 0, {"rho": rho})
        super().__init__(params, base)
        self.rho, self.adaptive = rho, adaptive

    def move_(self, weights: Sequence[Tensor]) -> Callable[[], None]:
        climb_(weights, self.rho, self.adaptive)
        return _nothing


def climb_(weights: Sequence[Tensor], rho: float, adaptive: bool = False) -> None:
    """Move weights along their gradients, all together by the distance ``rho``.

    Args:
        weights: The weights, each with a gradient.
        rho: The distance. With ``adaptive`` it is measured in sizes of the weights.
        adaptive: Whether each weight moves in proportion to its own size.

    Example:
        >>> import torch
        >>> weight = torch.tensor([3.0, 0.0])
        >>> weight.grad = torch.tensor([2.0, 0.0])
        >>> climb_([weight], rho=0.5)
        >>> weight
        tensor([3.5000, 0.0000])
    """
    gradients = [_gradient(weight) for weight in weights]
    if adaptive:
        gradients = [weight.abs() * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    scale = rho / (get_total_norm(gradients) + _TINY)
    for weight, gradient in zip(weights, gradients, strict=True):
        step = gradient * scale.to(gradient.device)
        weight.add_(weight.abs() * step if adaptive else step)


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad


def _nothing() -> None:
    """SAM steps by the gradient of the second pass as it is."""
