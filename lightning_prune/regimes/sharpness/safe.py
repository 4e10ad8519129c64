"""SAFE: find a flat minimum that is sparse, by SAM with a pull towards the nearest sparse network."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_prune.basics.checks import check_at_least, check_at_least_one, check_numbers, require
from lightning_prune.regimes.sharpness.largest import largest
from lightning_prune.regimes.sharpness.sam import climb_
from lightning_prune.regimes.sharpness.two_passes import Base, TwoPasses

_SPARSE, _DUAL = "sparse_copy", "dual"


class SAFE(TwoPasses):
    """Sparse and flat: SAM, with a pull of the weights towards a sparse copy of themselves (ADMM).

    The base optimizer steps with the gradient of SAM plus ``penalty * (w - z + u)``. Here ``z`` is the sparse copy: the
    largest entries of ``w + u``, over all weights with more than one dimension. And ``u`` sums up how far the weights
    are from it. Both are updated every ``interval`` steps. The penalty grows along half a cosine from 0 to its full
    value at ``steps``. Prune afterwards by magnitude over all layers to the same sparsity, with ``EstimateBatchNorm``.
    ``rho=0`` is ADMM without flatness. A step costs two, as with ``SAM``, and the same trainers are refused.

    Reference: Lee, Lim, Kim & Lee, SAFE: Finding Sparse and Flat Minima to Improve Pruning, 2025,
    https://arxiv.org/abs/2506.06866.

    Args:
        params: What to optimize.
        base: Makes the optimizer that steps from ``params``.
        sparsity: The sparsity of the copy, in [0, 1).
        steps: The steps of the run, at least 1.
        rho: As in ``SAM``.
        penalty: The full strength of the pull, at least 0: 1e-3 for ResNet-20, 1e-4 for VGG-19 in the paper.
        interval: The steps between two updates of the copy, at least 1.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from functools import partial
        >>> network = torch.nn.Linear(4, 2)
        >>> optimizer = SAFE(network.parameters(), base=partial(torch.optim.SGD, lr=0.1), sparsity=0.9, steps=100)
        >>> optimizer.pull_at(0), round(optimizer.pull_at(50), 6), optimizer.pull_at(100)
        (0.0, 0.0005, 0.001)
    """

    def __init__(
        self,
        params: Iterable[Any],
        base: Base,
        sparsity: float,
        steps: int,
        rho: float = 0.1,
        penalty: float = 1e-3,
        interval: int = 32,
    ) -> None:
        check_numbers("SAFE", {"sparsity": sparsity})
        require(0 <= sparsity < 1, "SAFE", "sparsity", sparsity, "lie in [0, 1)")
        check_at_least_one(self, "steps", steps)
        check_at_least_one(self, "interval", interval)
        check_at_least(self, 0, {"rho": rho, "penalty": penalty})
        super().__init__(params, base)
        self.sparsity, self.steps, self.rho = sparsity, steps, rho
        self.penalty, self.interval = penalty, interval
        self._copies: list[tuple[Tensor, Tensor]] = []  # in a step

    def pull_at(self, step: int) -> float:
        """The strength of the pull at a step, the first of which is 0."""
        return self.penalty * (1 - math.cos(math.pi * min(step / self.steps, 1))) / 2

    def move_(self, weights: Sequence[Tensor]) -> Callable[[], None]:
        self._copies = self._now(weights)  # of the weights where they are, masked and before they move
        if self.steps_taken and self.steps_taken % self.interval == 0:
            self._copies = _updated(weights, [dual for _, dual in self._copies], self.sparsity)
        climb_(weights, self.rho)

        def finish() -> None:
            pull = self.pull_at(self.steps_taken)
            for weight, (sparse, dual) in zip(weights, self._copies, strict=True):
                if weight.dim() > 1 and weight.grad is not None:
                    weight.grad.add_(weight - sparse + dual, alpha=pull)

        return finish

    def remember_(self, weights: Sequence[Tensor]) -> None:
        for weight, (sparse, dual) in zip(weights, self._copies, strict=True):
            if weight.dim() > 1:  # after the step of the base, which may take a state that is not empty for its own
                self.state[weight] |= {_SPARSE: sparse, _DUAL: dual}
        self._copies = []

    def _now(self, weights: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The sparse copy and the dual of each weight. At the first step, and after a reset, they begin."""
        known = [self.state.get(weight, {}) for weight in weights]
        if all(_SPARSE in one for one, weight in zip(known, weights, strict=True) if weight.dim() > 1):
            return [
                (one.get(_SPARSE, weight), one.get(_DUAL, weight)) for one, weight in zip(known, weights, strict=True)
            ]
        begun = [
            torch.where(mask, weight, 0) for weight, mask in zip(weights, largest(weights, self.sparsity), strict=True)
        ]
        return [(sparse, torch.zeros_like(sparse)) for sparse in begun]


def _updated(weights: Sequence[Tensor], duals: Sequence[Tensor], sparsity: float) -> list[tuple[Tensor, Tensor]]:
    """Project the weights and their duals, and add what is left of the weights to the duals."""
    sums = [weight + dual for weight, dual in zip(weights, duals, strict=True)]
    sparse = [torch.where(mask, one, 0) for one, mask in zip(sums, largest(sums, sparsity), strict=True)]
    return [(copy, one - copy) for copy, one in zip(sparse, sums, strict=True)]
