"""The types of criteria, and decorators with which a criterion declares the evidence that it needs.

A criterion without options is a function. A criterion with options is a :class:`Scorer`, a frozen dataclass.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from lightning_prune.basics.dotted_paths import call_of
from lightning_prune.criteria.evidence import BatchNorm, Evidence, Needs


class Scorer(ABC):
    """A criterion with options: a callable that maps a weight and evidence to scores.

    Subclasses are frozen dataclasses, and their fields are the options.

    Attributes:
        needs: The evidence to gather before each prune.
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
            weight: The weight, of any shape. It is not changed.
            evidence: The evidence that the scorer needs.

        Returns:
            Finite scores of the weight's shape. A higher score means "keep".
        """

    def __repr__(self) -> str:
        """Name functions by their dotted path, so that every process and every resumed run gets the same text."""
        return call_of(self)


Criterion = Scorer | Callable[[Tensor, Evidence], Tensor]
Keep = int | tuple[int, int]  # how many weights of a tensor, or how many of how many neighbors along the inputs
Solver = Callable[[Tensor, Evidence, Tensor | None, Keep], tuple[Tensor, Tensor]]
_Any = TypeVar("_Any", bound=Callable[[Tensor, Evidence], Tensor])


def needs(
    *kinds: str, batches: int = 1, batch_norm: BatchNorm = "training", rounds: int = 100
) -> Callable[[_Any], _Any]:
    """Declare the evidence that a criterion uses. The declared evidence is gathered before each prune.

    Args:
        kinds: Names of properties of :class:`Evidence`.
        batches: See :class:`Needs`.
        batch_norm: See :class:`Needs`.
        rounds: See :class:`Needs`.

    Returns:
        A decorator that returns the same criterion.

    Raises:
        ValueError: If a kind is unknown or a number is below 1.

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


def solved_by(solver: Solver) -> Callable[[_Any], _Any]:
    """Declare that a criterion decides itself which weights of a tensor live, and changes those that live.

    The scores of the criterion then only say how many weights each tensor keeps. This goes for single weights and for
    ``NofM``. Where larger units live and die, the scores alone decide and nothing is changed.

    Args:
        solver: Maps a weight, its evidence, its mask (uint8, or None where all of it lives) and the number of weights
            to keep to the new mask (bool) and the new weight, both of the shape of the weight. The number is a pair
            ``(n, m)`` where ``n`` of every ``m`` neighbors along the inputs live. Dead weights stay dead.

    Returns:
        A decorator that returns the same criterion.
    """

    def declare(criterion: _Any) -> _Any:
        criterion.solver = solver  # type: ignore[attr-defined]
        return criterion

    return declare


def solver_of(criterion: Criterion, cycle: int) -> Solver | None:
    """The solver of the criterion that scores the prune of a cycle. None if it has none: see :func:`solved_by`.

    Args:
        criterion: The criterion.
        cycle: The number of the cycle.

    Example:
        >>> from lightning_prune.criteria import OnBatches, sparse_gpt, wanda
        >>> solver_of(OnBatches(sparse_gpt, 2), cycle=1) is None, solver_of(wanda, cycle=1) is None
        (False, True)
    """
    within: Any = getattr(criterion, "criterion_at", None)
    return solver_of(within(cycle), cycle) if within is not None else getattr(criterion, "solver", None)


def needs_of(criterion: Criterion) -> Needs:
    """The needs that a criterion declares. A criterion without a declaration needs nothing."""
    declared = getattr(criterion, "needs", None)
    return declared if isinstance(declared, Needs) else Needs()


def elementwise(criterion: _Any) -> _Any:
    """Declare that each score depends only on its own weight and evidence. Scores are then computed in pieces, faster.

    Args:
        criterion: The criterion.

    Returns:
        The same criterion.
    """
    criterion.is_elementwise = True  # type: ignore[attr-defined]
    return criterion


def of_units(criterion: _Any) -> _Any:
    """Declare that a criterion scores whole units: it gets a matrix with one row a unit, and gives one score a row.

    Args:
        criterion: The criterion.

    Returns:
        The same criterion.
    """
    criterion.scores_units = True  # type: ignore[attr-defined]
    return criterion


def each_entry(criterion: _Any) -> _Any:
    """Declare that a criterion scores the entries of any tensor: where units are scored, it gets one entry for each.

    Args:
        criterion: The criterion.

    Returns:
        The same criterion.
    """
    criterion.scores_entries = True  # type: ignore[attr-defined]
    return criterion


def scores_entries(criterion: Criterion) -> bool:
    """Whether a criterion was declared :func:`each_entry`."""
    return getattr(criterion, "scores_entries", False)


def scores_units(criterion: Criterion) -> bool:
    """Whether a criterion was declared :func:`of_units`."""
    return getattr(criterion, "scores_units", False)


def is_elementwise(criterion: Criterion) -> bool:
    """Whether a criterion was declared :func:`elementwise`."""
    return getattr(criterion, "is_elementwise", False)
