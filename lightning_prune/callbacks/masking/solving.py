"""Let a criterion decide which weights of each tensor live, and change those that live."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria.declared import Keep, Solver
from lightning_prune.criteria.scores import Scores, check_finite, mark_dead
from lightning_prune.masks.masks import Masks
from lightning_prune.selection.sharding import whole


def solve_(
    solver: Solver,
    weights: Mapping[str, Tensor],
    masks: Masks,
    gatherer: Gatherer,
    counts: Mapping[str, int],
    keep: Callable[[str], Keep],
    cycle: int,
    said: str,
) -> None:
    """Shrink masks as a solver decides, and give the weights that live their new numbers.

    Args:
        solver: See :func:`~lightning_prune.criteria.declared.solved_by`.
        weights: The weights by name.
        masks: Their masks.
        gatherer: What has gathered the evidence.
        counts: How many weights each tensor keeps, by name.
        keep: Maps a name to what the solver is asked to keep.
        cycle: The number of the cycle.
        said: The name of the criterion, for errors.

    Raises:
        ValueError: If new weights are not finite. No weight and no mask has changed then.
    """
    chosen: dict[str, Tensor] = {}
    changed: dict[str, Tensor] = {}
    for name in dying(masks, counts):
        weight = whole(weights[name]).detach()
        evidence = gatherer.for_weight(cycle, name, None, weight.device)
        living = masks[name]
        chosen[name], changed[name] = solver(weight, evidence, None if living is None else whole(living), keep(name))
        check_finite(name, changed[name], said)
    if not chosen:
        return

    def marks(name: str) -> Tensor:
        score, living = chosen[name].float(), masks[name]
        return score if living is None else mark_dead(score, whole(living))

    masks.shrink_(Scores(masks.shapes, masks.living, marks), counts)
    with torch.no_grad():
        for name, new in changed.items():
            weights[name].copy_(new)


def dying(masks: Masks, counts: Mapping[str, int]) -> Iterable[str]:
    """The tensors in which weights die.

    Args:
        masks: The masks.
        counts: How many weights each tensor keeps, by name.
    """
    return [name for name in masks.shapes if counts[name] < masks.living[name]]
