"""How similar the outputs of two networks are: CKA, and how often they agree."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_prune.basics.checks import check_at_least_one, require
from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.gram_matrices import aligned, products
from lightning_prune.regimes.steady_batches import SteadyBatches
from lightning_prune.regimes.sums import in_double, rank, total
from lightning_prune.regimes.two_networks import Given, at_rest, network_of

Features = Callable[[Any, Any], Tensor]


def cka(
    a: Given,
    b: Given,
    data: Any,
    of: Literal["softmax", "logits"] | Features = "softmax",
    debiased: bool = False,
    batches: int | None = 101,
    network: nn.Module | None = None,
    seed: int = 0,
) -> float:
    """Measure the similarity of what two networks compute: linear centered kernel alignment.

    It does not change if the outputs of a network are rotated, scaled or shifted. Both networks are evaluated with
    their own BatchNorm statistics. Each pass is in batches, and the memory grows with the square of the number of
    outputs. Modules and random states are left as they were. All processes have to call it.

    Reference: Kornblith, Norouzi, Lee & Hinton, Similarity of Neural Network Representations Revisited, 2019,
    https://arxiv.org/abs/1905.00414. Zhou, Yang, Chang & Mahoney, A Three-regime Model of Network Pruning, 2023,
    https://arxiv.org/abs/2305.18383: of probabilities, biased, on 101 batches of 64 training images.

    Args:
        a: The first network: a module, or the path of a checkpoint.
        b: The second one. It may be of another kind.
        data: As for :func:`barrier`.
        of: ``"softmax"``: the class probabilities. ``"logits"``: what the module returns. Or a function of module and
            batch that returns features ``[N, ...]``.
        debiased: Whether to take the unbiased estimate, which does not grow as examples become fewer.
        batches: How many of the first batches, at least 1. None for all.
        network: A module like those in the checkpoints, if ``a`` or ``b`` is one.
        seed: Decides the order of a loader that shuffles, in [0, 2^63).

    Returns:
        The similarity, in [0, 1]; 1 for equal outputs. NaN if a network gives the same output for all examples.

    Raises:
        ValueError: If there are too few examples, or the batches do not fit.

    Example:
        >>> network = nn.Linear(3, 2)
        >>> round(cka(network, network, [torch.rand(8, 3)]), 6)
        1.0
    """
    function, pair = features_of(of, "cka"), _Pair.of(a, b, data, batches, network, seed, "cka")
    shifts: tuple[Tensor, Tensor] | None = None
    sums: list[Tensor] = []
    with at_rest(pair.first, pair.second, seed=seed):
        for x, y in pair.outputs(function):
            shifts = shifts or (_shift(x), _shift(y))  # CKA does not change, and large means would cost digits
            x, y = x - shifts[0], y - shifts[1]
            found = [products(x, x), products(x, y), products(y, y)]
            sums = [one + more for one, more in zip(sums, found, strict=True)] if sums else found
    sums = [total(one) for one in sums]
    least, count = (4 if debiased else 2), int(sums[0][-1, -1])
    require(count >= least, "cka", "data", f"{count} examples", f"have at least {least} examples")
    return aligned(sums[0], sums[1], sums[2], debiased)


def agreement(
    a: Given, b: Given, data: Any, batches: int | None = None, network: nn.Module | None = None, seed: int = 0
) -> float:
    """Measure how often two classifiers choose the same class.

    Args:
        a: The first network: a module, or the path of a checkpoint.
        b: The second one.
        data: As for :func:`barrier`.
        batches: How many of the first batches, at least 1. None for all.
        network: A module like those in the checkpoints, if ``a`` or ``b`` is one.
        seed: Decides the order of a loader that shuffles, in [0, 2^63).

    Returns:
        The fraction of examples, in [0, 1].

    Example:
        >>> network = nn.Linear(3, 2)
        >>> agreement(network, network, [torch.rand(8, 3)])
        1.0
    """
    pair = _Pair.of(a, b, data, batches, network, seed, "agreement")
    found = torch.zeros(2, dtype=torch.float64)
    with at_rest(pair.first, pair.second, seed=seed):
        for x, y in pair.outputs(features_of("logits", "agreement")):
            found += torch.tensor([int((x.argmax(1) == y.argmax(1)).sum()), len(x)])
    same, count = total(found).tolist()
    return float(same / count)


def features_of(of: str | Features, asker: str) -> Features:
    """Find the function that computes the features.

    Args:
        of: ``"softmax"``, ``"logits"``, or a function of module and batch.
        asker: What asks, for the errors.

    Raises:
        ValueError: If the name is unknown.
    """
    if callable(of):
        return of
    if of not in ("softmax", "logits"):
        raise UserError(f"{asker}(of={of!r}) is unknown: give 'softmax', 'logits', or a function of module and batch.")

    def outputs(module: Any, batch: Any) -> Tensor:
        scores = module(_inputs(batch, asker))
        if not isinstance(scores, Tensor) or scores.dim() < 2:
            raise UserError(
                f"{asker} compares outputs [N, classes], and {type(module).__name__} returns something else: give "
                "cka(of=...) a function of module and batch that returns features [N, ...]."
            )
        return scores.double().softmax(1) if of == "softmax" else scores

    return outputs


@dataclass(frozen=True)
class _Pair:
    """Two networks and the batches on which they are compared."""

    first: nn.Module
    second: nn.Module
    steady: SteadyBatches

    @classmethod
    def of(
        cls, a: Given, b: Given, data: Any, batches: int | None, network: nn.Module | None, seed: int, asker: str
    ) -> "_Pair":
        if batches is not None:
            check_at_least_one(asker, "batches", batches)
        first, second = network_of(a, network, asker), network_of(b, network, asker)
        return cls(first, second, SteadyBatches(data, batches, seed, asker))

    def outputs(self, features: Features) -> Iterator[tuple[Tensor, Tensor]]:
        """The features of both networks, batch for batch, as ``[n, p]`` in double precision."""
        for one, other in self.steady.on(self.first, self.second):
            x = in_double(features(self.first, one)).flatten(1)
            yield x, in_double(features(self.second, other)).flatten(1).to(x.device)


def _shift(features: Tensor) -> Tensor:
    """The mean of the first batch of the first process."""
    return total(features.mean(0) if rank() == 0 else torch.zeros_like(features[0]))


def _inputs(batch: Any, asker: str) -> Any:
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Sequence) and batch:
        return batch[0]
    raise UserError(f"{asker} needs batches whose first part is the input, and found a {type(batch).__name__}.")
