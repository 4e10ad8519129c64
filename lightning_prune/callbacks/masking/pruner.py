"""Prune one network: shrink its masks by scores and counts, and own the masks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_prune.callbacks.gathering.gatherer import Origin
from lightning_prune.callbacks.masking.in_blocks import Parts, rehearse_in_blocks, shrink_in_blocks_
from lightning_prune.callbacks.masking.scores_and_counts import ScoresAndCounts
from lightning_prune.callbacks.masking.solving import solve_
from lightning_prune.callbacks.masking.what_a_prune_leaves import warn_of_emptied
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria import is_elementwise
from lightning_prune.criteria.declared import Keep, solver_of
from lightning_prune.criteria.in_sequence import InSequence, in_blocks
from lightning_prune.criteria.scores import Scores
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.masks.factors import Factors
from lightning_prune.masks.masks import Masks, check_counts
from lightning_prune.masks.tally import Tally
from lightning_prune.selection.sharding import whole


class Pruner(ScoresAndCounts):
    """The masks of a network, and what shrinks them. :class:`ScoresAndCounts` says what the arguments are.

    Attributes:
        follows_schedule: Whether the sparsity alone says how much dies.
        changes_weights: Whether a criterion may prune block by block, decide which weights of a tensor live, and change
            weights.
    """

    follows_schedule: ClassVar[bool] = True
    changes_weights: ClassVar[bool] = True

    @property
    def settings(self) -> dict[str, list[str]]:
        """What else has to be the same where the run is resumed, by name."""
        return {}

    @property
    def measured(self) -> dict[str, Any]:
        """What was measured for the run, by name, and has to be the same where it is resumed."""
        return {} if self.measure is None else self.measure.state()

    def follow_(self, cycle: int, scheduled: Callable[[int], float], trainer: Origin | None = None) -> None:
        """Shrink the masks to the level of a cycle, or keep them bit for bit if it is the level of the last cycle.

        Whole units meet a level only nearly. If they were ranked again, another one could die.

        Args:
            cycle: The number of the cycle.
            scheduled: The sparsity of each cycle.
            trainer: See :meth:`prune_`, which also says what is raised.
        """
        if not (cycle > 1 and self.follows_schedule and scheduled(cycle) == scheduled(cycle - 1)):
            self.prune_(cycle, scheduled(cycle), trainer)

    def prune_(self, cycle: int, sparsity: float, trainer: Origin | None = None) -> None:
        """Shrink the masks to a sparsity.

        Args:
            cycle: The number of the cycle, for the seed.
            sparsity: The fraction of the prunable weights that is to be dead, in [0, 1).
            trainer: The trainer, or another source, for criteria that look at data or at the network.

        Raises:
            ValueError: If evidence cannot be gathered, scores are not finite, or the allocation cannot be met. No
                weight was pruned then.
        """
        before = dict(self.masks.living)
        self.shrink_(cycle, sparsity, trainer)
        self.warn_of_losses(f"Cycle {cycle}", before)

    def warn_of_losses(self, said: str, before: Mapping[str, int]) -> None:
        """Warn where a prune leaves too little.

        Args:
            said: What has pruned.
            before: The number of living weights of each tensor before the prune, or of units of each group.
        """
        warn_of_emptied(said, before, self.masks.living)

    def shrink_(self, cycle: int, sparsity: float, trainer: Origin | None) -> None:
        """Decide which weights die, and remove them from the masks. See :meth:`prune_`."""
        if (value := self._in_blocks(cycle)) is not None:
            shrink_in_blocks_(self._parts(), value, cycle, sparsity, trainer)
            return
        self._gather(trainer, cycle, sparsity, rehearsal=False)
        scores = self._scores(cycle)
        with one_thread() if is_elementwise(self.criterion) else nullcontext():
            self.settle_(cycle, sparsity, scores, self._allocate(scores, 1 - sparsity))
        self.gatherer.drop()

    def settle_(self, cycle: int, sparsity: float, scores: Scores, counts: Mapping[str, int]) -> None:
        """Keep the highest scores of every tensor, or what the criterion decides itself, which then changes weights.

        Args:
            cycle: The number of the cycle.
            sparsity: The fraction of the prunable weights that is to be dead.
            scores: The scores.
            counts: How many weights each tensor keeps, by name.
        """
        solver = solver_of(self.criterion, cycle) if self.changes_weights else None
        if solver is None:
            self.masks.shrink_(scores, counts)
            return
        keep, said = partial(self._keep, counts, sparsity), str(describe(self.criterion))
        solve_(solver, self.weights, self.masks, self.gatherer, counts, keep, cycle, said)

    def rehearse(self, sparsities: Sequence[float], trainer: Origin | None = None) -> None:
        """Score and allocate without pruning, to find before the training what would fail after it.

        Args:
            sparsities: The sparsities of the cycles to come.
            trainer: The trainer, for criteria that look at data or at the network: one batch, one round.

        Raises:
            ValueError: If evidence cannot be gathered, scores are not finite, of another shape or other ones when asked
                again, or an allocation cannot be met.
        """
        if sparsities and (value := self._in_blocks(1)) is not None:
            rehearse_in_blocks(self._parts(), value, sparsities, trainer)
            return
        if sparsities:
            self._gather(trainer, 1, sparsities[-1], rehearsal=True)
        for sparsity in sorted({*sparsities[:1], *sparsities[-1:]}):
            scores = self._scores(1)
            check_counts(self.masks.living, self._allocate(scores, 1 - sparsity))
        for name in sorted(self._unchecked):  # an allocation need not look at the scores
            self._score(1, name, part=None)
        if sparsities:
            self._refuse_moods()
        self.gatherer.drop()

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """Prune only these weights from now on. The other weights have no mask yet.

        Args:
            weights: The weights by name.
        """
        packed = self.masks.pack()
        self.weights = dict(weights)
        self.masks = Masks(self.weights)
        self.masks.unpack_(packed)
        self.gatherer.weights = self.weights
        self.measure = None if self.measure is None else self.measure.only(self.masks.shapes)

    @property
    def covered(self) -> Mapping[str, Tensor]:
        """The tensors that can have masks, by name."""
        return self.weights

    def held(self) -> Mapping[str, Tensor | Factors]:
        """The masks of the tensors that are not all alive, as the hold takes them."""
        return {name: mask for name in self.weights if (mask := self.masks[name]) is not None}

    def whole_masks(self) -> dict[str, Tensor]:
        """The masks of the tensors that are not all alive, true where a weight lives. All processes have to call it."""
        return {name: whole(mask).bool() for name in self.weights if (mask := self.masks[name]) is not None}

    def living_network(self) -> LivingNetwork | None:
        """What is left when dead units are removed. None if weights are masked that cannot be removed."""
        return None

    def tally(self) -> Tally:
        """Count what lives."""
        return Tally(self.masks.shapes, self.masks.living, self._sparsity())

    def has_reached(self, sparsity: float) -> bool:
        """Whether nothing has to die for a sparsity."""
        if self.measure is None:
            return self.masks.alive <= round((1 - sparsity) * self.masks.size)
        return self.measure.left(self.masks.living) <= (1 - sparsity) * self.measure.total() + self.measure.largest()

    def exceeds(self, sparsity: float) -> bool:
        """Whether more is dead than at a sparsity."""
        if self.measure is None:
            return self.masks.alive < round((1 - sparsity) * self.masks.size)
        return self.measure.left(self.masks.living) < (1 - sparsity) * self.measure.total() - self.measure.largest()

    def state_dict(self) -> dict[str, Any]:
        """The packed masks, in plain types and tensors."""
        return {"masks": self.masks.pack()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self.masks.unpack_(saved["masks"])

    def load(self, packed: Mapping[str, Tensor], exact: bool = True) -> None:
        """Take packed masks of weights.

        Args:
            packed: The masks by name.
            exact: Whether they have to be masks of whole units. If not, only the units that are dead as a whole die.
        """
        self.masks.unpack_(packed)

    def _in_blocks(self, cycle: int) -> InSequence | None:
        return in_blocks(self.criterion, cycle) if self.changes_weights else None

    def _parts(self) -> Parts:
        steps = self._gather, self._scores, self._allocate, self.settle_
        return Parts(self.weights, self.masks, self.gatherer, *steps)

    def _keep(self, counts: Mapping[str, int], sparsity: float, name: str) -> Keep:
        """What a criterion that decides itself is asked to keep of a tensor."""
        return counts[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one core: pieces that fit into a cache take less time than it takes to wake the others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
