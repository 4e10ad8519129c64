"""What a criterion is, and how it declares what it needs: functions, and values where there is something to choose."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from lightning_prune.basics.dotted_paths import call_of
from lightning_prune.criteria.evidence import BatchNorm, Evidence, Needs


class Scorer(ABC):
    """From a weight and evidence to scores, as the functions are; the fields of the dataclass are what can be chosen.

    Attributes:
        needs: What is to be gathered before each prune.
        is_elementwise: Whether each score depends on its own weight and evidence alone.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, repr=False)
        ... class Power(Scorer):
        ...     exponent: float
        ...     is_elementwise = True
        ...     def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        ...         return weight.detach().abs() ** self.exponent
        >>> Power(exponent=2.0)
        Power(exponent=2.0)
    """

    needs: Any = Needs()
    is_elementwise: Any = False

    @abstractmethod
    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        """Score a weight.

        Args:
            weight: The weight, of any shape; left alone.
            evidence: What the scorer needs.

        Returns:
            Finite scores of the weight's shape; a higher one means "keep".
        """

    def __repr__(self) -> str:
        """The same in every process: functions by their dotted path, so that a resumed run finds its settings again."""
        return call_of(self)


Criterion = Scorer | Callable[[Tensor, Evidence], Tensor]
_Any = TypeVar("_Any", bound=Callable[[Tensor, Evidence], Tensor])


def needs(
    *kinds: str, batches: int = 1, batch_norm: BatchNorm = "training", rounds: int = 100
) -> Callable[[_Any], _Any]:
    """Declare what a criterion looks at in its evidence, so that it is gathered before each prune.

    Args:
        kinds: Names of properties of :class:`Evidence`.
        batches: See :class:`Needs`.
        batch_norm: See :class:`Needs`.
        rounds: See :class:`Needs`.

    Returns:
        A decorator that returns the same criterion.

    Raises:
        ValueError: If a kind is unknown or a number below 1.

    Example:
        >>> @elementwise
        ... @needs("gradient", batches=8)
        ... def mine(weight: Tensor, evidence: Evidence) -> Tensor:
        ...     return evidence.gradient.abs()
        >>> needs_of(mine).batches
        8
    """
    declared = Needs(kinds, batches, batch_norm, rounds)

    def declare(criterion: _Any) -> _Any:
        criterion.needs = declared  # type: ignore[attr-defined]
        return criterion

    return declare


def needs_of(criterion: Criterion) -> Needs:
    """What a criterion was declared to need; nothing where it was not."""
    declared = getattr(criterion, "needs", None)
    return declared if isinstance(declared, Needs) else Needs()


def elementwise(criterion: _Any) -> _Any:
    """Declare that each score depends on its own weight and evidence alone: it is then computed in pieces, faster.

    Args:
        criterion: The criterion.

    Returns:
        The same criterion.
    """
    criterion.is_elementwise = True  # type: ignore[attr-defined]
    return criterion


def is_elementwise(criterion: Criterion) -> bool:
    """Whether a criterion was declared :func:`elementwise`."""
    return getattr(criterion, "is_elementwise", False)
