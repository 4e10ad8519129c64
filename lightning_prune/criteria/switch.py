"""Score the prunes of the first cycles by one criterion, and later ones by another."""

from dataclasses import dataclass

from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.declared import Criterion, Scorer, is_elementwise, needs_of, scores_entries, scores_units
from lightning_prune.criteria.evidence import Evidence, Needs


@dataclass(frozen=True, repr=False)
class Switch(Scorer):
    """Score by one criterion until a cycle, and from this cycle on by another.

    A mask that a criterion found at initialization is trained in several cycles this way, and the last prune goes by
    magnitude. The evidence of both criteria is gathered before every prune. If both use gradients, both use as many
    batches as the one that uses more.

    Reference: Gadhikar, Nelaturu & Burkholz, Cyclic Sparse Training: Is it Enough?, 2024,
    https://arxiv.org/abs/2406.02773. SCULPT prunes at initialization, and by magnitude before its last cycle.

    Args:
        first: The criterion of the first cycles.
        then: The criterion of cycle ``cycle`` and of all later ones.
        cycle: The number of this cycle, at least 1.

    Raises:
        ValueError: If one of them is no criterion, one scores whole units and the other one does not, they need other
            statistics of BatchNorm, or ``cycle`` is not a whole number of at least 1.

    Example:
        >>> from lightning_prune.criteria import magnitude, snip
        >>> Switch(first=snip, then=magnitude, cycle=6).needs.kinds
        ('gradient',)
    """

    first: Criterion
    then: Criterion
    cycle: int

    def __post_init__(self) -> None:
        check_at_least_one("Switch", "cycle", self.cycle)
        for name, given in (("first", self.first), ("then", self.then)):
            if not callable(given):
                raise UserError(
                    f"Switch({name}={given!r}) is no criterion: give one, such as lightning_prune.magnitude."
                )
        if scores_units(self.first) != scores_units(self.then):
            raise UserError(f"{self!r} mixes criteria of whole units with those of weights: give two of one kind.")
        if len({needs_of(one).batch_norm for one in self._both if needs_of(one).kinds}) > 1:
            raise UserError(f"{self!r}: the two need gradients with other statistics of BatchNorm. Give another pair.")

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        return self.criterion_at(evidence.cycle)(weight, evidence)

    def criterion_at(self, cycle: int) -> Criterion:
        """The criterion that scores the prune of a cycle."""
        return self.first if cycle < self.cycle else self.then

    @property
    def _both(self) -> tuple[Criterion, Criterion]:
        return self.first, self.then

    @property
    def needs(self) -> Needs:
        """What either criterion needs."""
        asked = [needs_of(one) for one in self._both]
        rounds = [one.rounds for one in asked if "survival" in one.kinds]
        return Needs(
            kinds=tuple(dict.fromkeys(kind for one in asked for kind in one.kinds)),
            batches=max(one.batches for one in asked),
            batch_norm=next((one.batch_norm for one in asked if one.kinds), "training"),
            rounds=max(rounds, default=Needs().rounds),
        )

    @property
    def is_elementwise(self) -> bool:
        """Whether both criteria are elementwise."""
        return all(map(is_elementwise, self._both))

    @property
    def scores_units(self) -> bool:
        """Whether both criteria score whole units."""
        return scores_units(self.first)

    @property
    def scores_entries(self) -> bool:
        """Whether both criteria score the entries of any tensor."""
        return all(map(scores_entries, self._both))
