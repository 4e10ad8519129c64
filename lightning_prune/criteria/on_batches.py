"""Compute a criterion of gradients or activations on another number of batches than its default."""

from dataclasses import dataclass, replace

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.around import Around
from lightning_prune.criteria.declared import needs_of
from lightning_prune.criteria.evidence import FLOWING, MEASURED, OUTPUTS, READ, Needs


@dataclass(frozen=True, repr=False)
class OnBatches(Around):
    """Compute a criterion's gradients or activations on another number of batches than its default.

    Args:
        criterion: A criterion that uses gradients or activations, such as ``taylor`` or ``wanda``.
        batches: The number of batches of training data, at least 1. With several processes, each process computes its
            part of every batch, as in training.

    Raises:
        ValueError: If the criterion takes no gradients and looks at no activations, or ``batches`` is no whole number
            of at least 1.

    Example:
        >>> from lightning_prune.criteria import taylor
        >>> OnBatches(criterion=taylor, batches=32)
        OnBatches(criterion=lightning_prune.criteria.gradients.taylor, batches=32)
    """

    batches: int

    def __post_init__(self) -> None:
        measured = {*MEASURED, *FLOWING, *OUTPUTS, *READ, "squared_gate_gradient"}
        if not callable(self.criterion) or not measured & set(needs_of(self.criterion).kinds):
            raise UserError(
                f"OnBatches(criterion={self.criterion!r}) takes no gradients and looks at no activations: give a "
                "criterion that does, such as lightning_prune.criteria.taylor, or use this criterion without OnBatches."
            )
        check_at_least_one("OnBatches", "batches", self.batches)

    @property
    def needs(self) -> Needs:
        """The needs of the criterion, with the given number of batches."""
        return replace(needs_of(self.criterion), batches=self.batches)
