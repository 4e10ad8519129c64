"""How much of the network's flow goes through a weight: SynFlow, which prunes in rounds and needs no data."""

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
    """Keep what carries the flow of the network: ``|dR/dw * w|``, in 100 rounds.

    ``R`` is the sum of the outputs for an input of ones, with ``|w|`` in the place of every weight and buffer. After
    each round the lowest die over all tensors, and what is left is scored anew. A score here is the place in that order
    of death, so that ``globally`` keeps exactly what survives the last round.

    Reference: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, 2020,
    https://arxiv.org/abs/2006.05467. 100 rounds are the paper's as remembered, unconfirmed; its code has 1 as default
    (``SynFlow(rounds=1)``).

    Args:
        weight: The weight, of any shape.
        evidence: The order of death.

    Returns:
        Scores of the weight's shape, float64: 0, 1, 2, ... over all living weights of the network.

    Example:
        >>> synflow(torch.ones(2), Evidence(torch.Generator(), {"survival": torch.tensor([1.0, 0.0])}))
        tensor([1., 0.])
    """
    return evidence.survival


@dataclass(frozen=True, repr=False)
class SynFlow(Scorer):
    """:func:`synflow` in another number of rounds.

    Reference: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, 2020,
    https://arxiv.org/abs/2006.05467.

    Args:
        rounds: In how many rounds each prune goes to its sparsity, at least 1. The paper's 100 is unconfirmed; the
            default of its code is 1.

    Raises:
        ValueError: If ``rounds`` is not a whole number of at least 1.

    Example:
        >>> SynFlow(rounds=10).needs.rounds
        10
    """

    rounds: int = 100

    is_elementwise = True  # no field: it has no annotation

    def __post_init__(self) -> None:
        check_at_least_one("SynFlow", "rounds", self.rounds)

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        return evidence.survival

    @property
    def needs(self) -> Needs:
        """The order of death, in that many rounds."""
        return Needs(("survival",), rounds=self.rounds)


def kept_after(start: int, budget: int, rounds: int) -> list[int]:
    """How many weights live after each round: an exponential from the start to the budget.

    Args:
        start: How many live before.
        budget: How many are to live after the last round, ``1 <= budget <= start``.
        rounds: How many rounds, at least 1.

    Returns:
        ``start * (budget / start)^(k / rounds)`` for ``k = 1 ... rounds``, rounded; the last is the budget.

    Example:
        >>> kept_after(1000, 10, rounds=2)
        [100, 10]
    """
    return [round(start * (budget / start) ** (k / rounds)) for k in range(1, rounds)] + [budget]


def order_of_death(flow: Flow, living: Mapping[str, Tensor], budget: int, rounds: int) -> dict[str, Tensor]:
    """Prune in rounds, and write down when each weight died.

    Args:
        flow: From what lives, by name, to the scores of each tensor, at least 0.
        living: What lives now, true where it does; it is not changed.
        budget: How many are to live after the last round, at least 1 and at most what lives.
        rounds: How many rounds, at least 1.

    Returns:
        Places in the order of death, float64 and from 0 on, of the shapes of ``living``; minus 1 for what was dead.
        Ties die from the last tensor and index on.

    Example:
        >>> order_of_death(lambda living: {"a": torch.tensor([3.0, 9.0, 1.0])}, {"a": torch.ones(3).bool()}, 1, 2)
        {'a': tensor([1., 2., 0.], dtype=torch.float64)}
    """
    alive = torch.cat([mask.flatten() for mask in living.values()]).bool()
    places = torch.full(alive.shape, -1.0, dtype=torch.float64, device=alive.device)
    start = left = int(alive.sum())
    targets = [*kept_after(start, budget, rounds), 0]  # what survives all rounds dies in no round, and is ranked last
    score = torch.empty(0)
    for number, target in enumerate(targets):
        if number < rounds:
            score = _joined(flow(_split(alive, living)))
        lowest = _lowest(score, alive, left - target)
        places[lowest] = torch.arange(start - left, start - target, dtype=places.dtype, device=places.device)
        alive[lowest], left = False, target
    return _split(places, living)


def _lowest(score: Tensor, alive: Tensor, count: int) -> Tensor:
    """The indices of the ``count`` lowest living scores, from the lowest up; of equal ones the last comes first."""
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
