"""SynFlow: score weights by the flow of the network through them, in rounds and without data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.criteria.declared import Scorer, elementwise, needs
from lightning_prune.criteria.evidence import Evidence, Needs

Flow = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@elementwise
@needs("survival", rounds=100)
def synflow(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights that carry the flow of the network: ``|dR/dw * w|``, in 100 rounds.

    ``R`` is the sum of the outputs for an input of ones, with ``|w|`` in the place of every weight and buffer. Each
    round removes the weights with the lowest values of all tensors, and then computes the values of the remaining
    weights again. The score of a weight is its place in this order of removal. So ``globally`` keeps exactly the
    weights that survive the last round.

    Reference: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, 2020,
    https://arxiv.org/abs/2006.05467. We remember 100 rounds as the paper's number but could not confirm it. The
    default of its code is 1 (``SynFlow(rounds=1)``).

    Args:
        weight: The weight, of any shape.
        evidence: The order of removal.

    Returns:
        Scores of the weight's shape, float64. The scores are 0, 1, 2, ... over all living weights of the network.

    Example:
        >>> synflow(torch.ones(2), Evidence(torch.Generator(), {"survival": torch.tensor([1.0, 0.0])}))
        tensor([1., 0.])
    """
    return evidence.survival


@dataclass(frozen=True, repr=False)
class SynFlow(Scorer):
    """:func:`synflow` with another number of rounds.

    Reference: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, 2020,
    https://arxiv.org/abs/2006.05467.

    Args:
        rounds: The number of rounds in which each prune reaches its sparsity, at least 1. We could not confirm that
            the paper uses 100. The default of its code is 1.

    Raises:
        ValueError: If ``rounds`` is not a whole number of at least 1.

    Example:
        >>> SynFlow(rounds=10).needs.rounds
        10
    """

    rounds: int = 100

    is_elementwise = True  # not a field, because it has no annotation

    def __post_init__(self) -> None:
        check_at_least_one("SynFlow", "rounds", self.rounds)

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        return evidence.survival

    @property
    def needs(self) -> Needs:
        """The order of removal over the given number of rounds."""
        return Needs(("survival",), rounds=self.rounds)


def kept_after(start: int, budget: int, rounds: int) -> list[int]:
    """Count the weights that live after each round. The counts fall exponentially from the start to the budget.

    Args:
        start: The number of living weights before the first round.
        budget: The number of weights to keep after the last round, ``1 <= budget <= start``.
        rounds: The number of rounds, at least 1.

    Returns:
        ``start * (budget / start)^(k / rounds)`` for ``k = 1 ... rounds``, rounded. The last count is the budget.

    Example:
        >>> kept_after(1000, 10, rounds=2)
        [100, 10]
    """
    return [round(start * (budget / start) ** (k / rounds)) for k in range(1, rounds)] + [budget]


def order_of_death(flow: Flow, living: Mapping[str, Tensor], budget: int, rounds: int) -> dict[str, Tensor]:
    """Prune in rounds, and record the order in which weights are removed.

    Args:
        flow: Maps masks of the living weights, by name, to the scores of each tensor, at least 0.
        living: Masks, true where a weight lives now. They are not changed.
        budget: The number of weights to keep after the last round, at least 1 and at most the number that lives now.
        rounds: The number of rounds, at least 1.

    Returns:
        The place of each weight in the order of removal, float64 and counted from 0, with the shapes of ``living``. -1
        for weights that were dead before. Among equal scores, the weight with the last tensor and index goes first.

    Example:
        >>> order_of_death(lambda living: {"a": torch.tensor([3.0, 9.0, 1.0])}, {"a": torch.ones(3).bool()}, 1, 2)
        {'a': tensor([1., 2., 0.], dtype=torch.float64)}
    """
    alive = torch.cat([mask.flatten() for mask in living.values()]).bool()
    places = torch.full(alive.shape, -1.0, dtype=torch.float64, device=alive.device)
    start = left = int(alive.sum())
    targets = [*kept_after(start, budget, rounds), 0]  # weights that survive all rounds are ranked last
    score = torch.empty(0)
    for number, target in enumerate(targets):
        if number < rounds:
            score = _joined(flow(_split(alive, living)))
        lowest = _lowest(score, alive, left - target)
        places[lowest] = torch.arange(start - left, start - target, dtype=places.dtype, device=places.device)
        alive[lowest], left = False, target
    return _split(places, living)


def _lowest(score: Tensor, alive: Tensor, count: int) -> Tensor:
    """The indices of the ``count`` lowest living scores, in rising order. Of equal scores, the last comes first."""
    if count == 0:
        return alive.new_zeros(0, dtype=torch.long)
    among = alive.nonzero().squeeze(1).flip(0)
    values = score[among]
    cut = values.kthvalue(count).values
    below, tied = among[values < cut], among[values == cut]
    below = below[score[below].argsort(stable=True)]
    return torch.cat([below, tied[: count - len(below)]])


def _joined(scores: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([score.flatten() for score in scores.values()])


def _split(flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = torch.split(flat, [tensor.numel() for tensor in like.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(like.items(), parts, strict=True)}
