"""Score the weights of a network, and allocate how many of them each tensor keeps."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lightning_prune.allocation import Allocation
from lightning_prune.allocation.within_rows import compares_rows, in_rows
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.gatherer import Gatherer, Origin
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria import Criterion, is_elementwise
from lightning_prune.criteria.scores import Scores, as_floating, check_finite, mark_dead
from lightning_prune.granularity.quantities import Measure, find_counts
from lightning_prune.masks.masks import Masks
from lightning_prune.selection.sharding import is_sharded, whole


class ScoresAndCounts:
    """The masks of a network, the scores of its weights, and how many weights each tensor keeps.

    Args:
        weights: The prunable weights by name.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.
        seed: Decides, with the cycle and the tensor's name, what a random criterion keeps.
        transposed: The groups of transposed convolutions by the names of their weights.
        measure: What a sparsity is a fraction of. None: of the weights.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        criterion: Criterion,
        allocation: Allocation,
        seed: int,
        transposed: Mapping[str, int] | None = None,
        measure: Measure | None = None,
    ) -> None:
        self._transposed = dict(transposed or {})
        self.weights = dict(weights)
        self.criterion = criterion
        self.allocation = allocation
        self.seed = seed
        self.measure = measure
        self._unchecked: set[str] = set()
        self.masks = Masks(self.weights)
        self.gatherer = Gatherer(self.weights, criterion, seed, self._transposed)

    def _allocate(self, scores: Scores, density: float) -> Mapping[str, int]:
        if self.measure is None or getattr(self.allocation, "is_fixed", False):
            return self.allocation(scores, density)
        return find_counts(self.allocation, scores, self.measure, density)

    def _gather(self, trainer: Origin | None, cycle: int, sparsity: float, rehearsal: bool) -> None:
        masks = self.masks
        budget = max(min(round((1 - sparsity) * masks.size), masks.alive), 1)
        self.gatherer.gather(trainer, masks, cycle, budget, rehearsal)

    def _sparsity(self) -> float:
        if self.measure is None:
            return self.masks.sparsity
        return 1 - self.measure.left(self.masks.living) / self.measure.total()

    def _scores(self, cycle: int) -> Scores:
        self._unchecked = set(self.weights)
        in_pieces = is_elementwise(self.criterion) and not any(map(is_sharded, self.weights.values()))
        part = partial(self._score, cycle) if in_pieces else None
        whole_one = partial(self._score, cycle, part=None)
        scores = Scores(self.masks.shapes, self.masks.living, whole_one, part, self._transposed)
        return in_rows(scores) if compares_rows(self.allocation) else scores

    def _score(self, cycle: int, name: str, part: slice | None) -> Tensor:
        """The scores of a weight, or of a part of the flat weight. Dead weights are marked."""
        score, mask = self._rate(cycle, name, part), self.masks[name]
        if mask is None:
            return score
        mask = whole(mask) if part is None else whole(mask).flatten()[part]
        return mark_dead(score, mask)

    def _rate(self, cycle: int, name: str, part: slice | None) -> Tensor:
        """The scores of a weight, or of a part of the flat weight, whether dead or alive."""
        weight = whole(self.weights[name]).detach()
        weight = weight if part is None else weight.flatten()[part]
        given = self.criterion(weight, self.gatherer.for_weight(cycle, name, part, weight.device))
        score = as_floating(name, given, str(describe(self.criterion)))
        if score.shape != weight.shape:
            raise UserError(
                f"{describe(self.criterion)} gave scores of shape {tuple(score.shape)} for {name!r}, which has shape "
                f"{tuple(weight.shape)}: a criterion returns one score for each weight."
            )
        self._check(name, score, part)
        return score

    def _refuse_moods(self) -> None:
        """Refuse a criterion that scores the same weight differently when it is asked again."""
        smallest = min(self.masks.shapes, key=lambda name: (self.masks.shapes[name].numel(), name))
        if not torch.equal(self._score(1, smallest, part=None), self._score(1, smallest, part=None)):
            raise UserError(
                f"{describe(self.criterion)} scored {smallest!r} differently when it was asked again. Large networks "
                "are scored piece by piece, and more than once: draw what is random from `evidence.generator`, and do "
                "not count calls."
            )

    def _check(self, name: str, score: Tensor, part: slice | None) -> None:
        """Look for scores that are not numbers, once for each of them."""
        if name in self._unchecked:
            check_finite(name, score, str(describe(self.criterion)))
            last = part is None or (part.step is None and part.stop >= self.weights[name].numel())
            self._unchecked -= {name} if last else set()
