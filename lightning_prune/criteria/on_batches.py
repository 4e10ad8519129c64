"""A criterion on another number of batches than its own."""

from dataclasses import dataclass, replace

from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.criteria.declared import Criterion, Scorer, is_elementwise, needs_of
from lightning_prune.criteria.evidence import MEASURED, Evidence, Needs


@dataclass(frozen=True, repr=False)
class OnBatches(Scorer):
    """A criterion that takes its gradients on another number of batches.

    Args:
        criterion: A criterion that looks at gradients, such as ``taylor``.
        batches: How many batches of training data, at least 1. On several processes each gives its part to every
            batch, as in training.

    Raises:
        ValueError: If the criterion takes no gradients, or ``batches`` is not a whole number of at least 1.

    Example:
        >>> from lightning_prune.criteria import taylor
        >>> OnBatches(criterion=taylor, batches=32)
        OnBatches(criterion=lightning_prune.criteria.gradients.taylor, batches=32)
    """

    criterion: Criterion
    batches: int

    def __post_init__(self) -> None:
        if not callable(self.criterion) or not set(MEASURED) & set(needs_of(self.criterion).kinds):
            raise ValueError(
                f"OnBatches(criterion={self.criterion!r}) takes no gradients: give a criterion that does, such as "
                "lightning_prune.criteria.taylor, or use this one alone."
            )
        check_at_least_one("OnBatches", "batches", self.batches)

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        return self.criterion(weight, evidence)

    @property
    def needs(self) -> Needs:
        """What the criterion needs, on that many batches."""
        return replace(needs_of(self.criterion), batches=self.batches)

    @property
    def is_elementwise(self) -> bool:
        """Whether the criterion is."""
        return is_elementwise(self.criterion)
