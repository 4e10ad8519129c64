"""CrAM: step by the gradient of the network as it would be after a step uphill and a prune."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from lightning_prune.basics.checks import check_at_least, check_whole, is_number, require
from lightning_prune.basics.random_state import seed_of
from lightning_prune.regimes.sharpness.largest import largest
from lightning_prune.regimes.sharpness.two_passes import Base, TwoPasses


class CrAM(TwoPasses):
    """Compression-aware minimization (CrAM+): a dense run whose network loses little when it is pruned at once.

    Each step takes the gradient ``g`` at the weights, keeps the largest weights of ``w + rho * g``, and takes the
    gradient of this sparse network, for the weights that it keeps. The base optimizer steps with the sum of both
    gradients. The sparsity is drawn anew in each step: the same on every process, and the same after a resume. Prune
    afterwards by magnitude over all layers, with ``EstimateBatchNorm`` (the authors use 1,000 images) and no
    retraining. A step costs two, as with ``SAM``, and the same trainers are refused.

    Reference: Peste, Vladu, Kurtic, Lampert & Alistarh, CrAM: A Compression-Aware Minimizer, 2023,
    https://arxiv.org/abs/2207.14200.

    Args:
        params: What to optimize.
        base: Makes the optimizer that steps from ``params``.
        rho: How far the weights move along their gradient before the prune, at least 0. The gradient is not normalized.
        sparsities: The sparsities to draw from, each in [0, 1). Over all weights with more than one dimension.
        seed: Decides what is drawn.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> network = torch.nn.Linear(4, 2)
        >>> optimizer = CrAM(network.parameters(), base=partial(torch.optim.SGD, lr=0.1), sparsities=[0.5, 0.75])
        >>> optimizer.sparsity_at(0) in (0.5, 0.75)
        True
    """

    def __init__(
        self,
        params: Iterable[Any],
        base: Base,
        rho: float = 0.2,
        sparsities: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        seed: int = 0,
    ) -> None:
        check_at_least(self, 0, {"rho": rho})
        check_whole(self, {"seed": seed})
        holds = bool(sparsities) and all(is_number(one) and 0 <= one < 1 for one in sparsities)
        require(holds, "CrAM", "sparsities", sparsities, "be one or more numbers in [0, 1)")
        super().__init__(params, base)
        self.rho, self.sparsities, self.seed = rho, tuple(sparsities), seed

    def sparsity_at(self, step: int) -> float:
        """The sparsity that is drawn for a step, the first of which is 0."""
        return self.sparsities[seed_of(self.seed, "CrAM", step) % len(self.sparsities)]

    def move_(self, weights: Sequence[Tensor]) -> Callable[[], None]:
        gradients = [weight.grad.clone() for weight in weights if weight.grad is not None]  # DDP may reuse its memory
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.add_(gradient, alpha=self.rho)
        masks = largest(weights, self.sparsity_at(self.steps_taken))
        for weight, mask in zip(weights, masks, strict=True):
            weight.mul_(mask)

        def finish() -> None:
            for weight, gradient, mask in zip(weights, gradients, masks, strict=True):
                weight.grad = gradient if weight.grad is None else gradient.add_(weight.grad * mask)

        return finish
