"""The base of criteria that change how another criterion is computed, and not its scores."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from lightning_prune.criteria.declared import Criterion, Scorer, is_elementwise, needs_of, scores_units
from lightning_prune.criteria.evidence import Evidence, Needs


@dataclass(frozen=True, repr=False)
class Around(Scorer):
    """A criterion around another one, whose scores and declarations it has.

    Args:
        criterion: The other criterion.

    Example:
        >>> from lightning_prune.criteria import OnBatches, taylor
        >>> isinstance(OnBatches(taylor, 4), Around), OnBatches(taylor, 4).is_elementwise
        (True, True)
    """

    criterion: Criterion

    @abstractmethod
    def __post_init__(self) -> None:
        """Refuse a criterion around which this one makes no sense."""

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        return self.criterion(weight, evidence)

    def criterion_at(self, cycle: int) -> Criterion:
        """The criterion that scores the prune of a cycle."""
        return self.criterion

    @property
    def needs(self) -> Needs:
        """The needs of the criterion."""
        return needs_of(self.criterion)

    @property
    def is_elementwise(self) -> bool:
        """Whether the criterion is elementwise."""
        return is_elementwise(self.criterion)

    @property
    def scores_units(self) -> bool:
        """Whether the criterion scores whole units."""
        return scores_units(self.criterion)
