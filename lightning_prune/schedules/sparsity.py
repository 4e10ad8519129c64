"""Sparsity schedules, which map the number of a cycle to the fraction of weights that are dead in the cycle.

Every schedule is a frozen dataclass. Called with the number of a cycle, it
returns a sparsity in [0, 1). Cycle 0 is the dense run, and pruning begins with
cycle 1. To add a schedule, write its formula.
"""

import collections.abc
from abc import ABC, abstractmethod
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from lightning_prune.basics.checks import check_at_least, check_numbers
from lightning_prune.basics.renamed import former_attribute, renamed_argument
from lightning_prune.basics.user_error import UserError

if TYPE_CHECKING:
    from typing_extensions import Self


class SparsitySchedule(ABC):
    """The base class of schedules: a callable that maps the number of a cycle to a sparsity.

    Example:
        >>> class Halving(SparsitySchedule):
        ...     def __call__(self, cycle: int) -> float:
        ...         return 1 - 0.5**cycle
        >>> Halving()(2)
        0.75
    """

    def __new__(cls, *_: Any, **options: Any) -> "Self":
        refuse_unknown(cls, options)
        return super().__new__(cls)

    @abstractmethod
    def __call__(self, cycle: int) -> float:
        """Return the sparsity of ``cycle``.

        Args:
            cycle: The number of the cycle, at least 0.

        Returns:
            The fraction of the prunable weights that are dead, in [0, 1).
        """


@dataclass(frozen=True)
class Geometric(SparsitySchedule):
    """Remove the same fraction of the living weights at every cycle: ``1 - (1 - initial) * (1 - fraction) ** cycle``.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019, https://arxiv.org/abs/1803.03635 (fraction 0.2).

    Args:
        fraction: The fraction of the living weights that each cycle removes, in (0, 1).
        initial: The sparsity before the first cycle, in [0, 1).
        rate: The former name of ``fraction``, which goes with the next version.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> [round(Geometric(fraction=0.2)(cycle), 3) for cycle in (0, 1, 2, 10)]
        [0.0, 0.2, 0.36, 0.893]
    """

    fraction: float = 0.2
    initial: float = 0.0

    former_arguments = ("rate",)
    rate = former_attribute("rate", "fraction")

    def __init__(self, fraction: float = 0.2, initial: float = 0.0, rate: float | None = None) -> None:
        fraction = renamed_argument(self, "rate", rate, fraction, default=0.2)
        object.__setattr__(self, "fraction", fraction)
        object.__setattr__(self, "initial", initial)
        _check_final(self, initial, "initial")
        check_numbers(self, {"fraction": fraction})
        if not 0 < fraction < 1:
            raise UserError(f"Geometric(fraction={fraction}) must lie strictly between 0 and 1, for instance 0.2.")

    def __call__(self, cycle: int) -> float:
        return float(1 - (1 - self.initial) * (1 - self.fraction) ** cycle)


@dataclass(frozen=True)
class OneShot(SparsitySchedule):
    """Remove all weights that are to go at the first cycle.

    Args:
        final: The sparsity from cycle 1 on, in [0, 1).

    Raises:
        ValueError: If ``final`` lies outside [0, 1).

    Example:
        >>> [OneShot(final=0.9)(cycle) for cycle in (0, 1, 2)]
        [0.0, 0.9, 0.9]
    """

    final: float

    def __post_init__(self) -> None:
        _check_final(self, self.final)

    def __call__(self, cycle: int) -> float:
        return self.final if cycle > 0 else 0.0


@dataclass(frozen=True)
class _Rise(SparsitySchedule):
    """The common base of schedules that go from an initial to a final sparsity within a number of cycles."""

    final: float
    cycles: int
    initial: float = 0.0

    def __post_init__(self) -> None:
        _check_final(self, self.final)
        check_at_least(self, 1, {"cycles": self.cycles})
        _check_initial(self, self.initial, self.final)


@dataclass(frozen=True)
class Linear(_Rise):
    """Remove the same number of weights at each of ``cycles`` cycles.

    Args:
        final: The sparsity reached at cycle ``cycles`` and kept after this cycle, in [0, 1).
        cycles: The number of cycles, at least 1.
        initial: The sparsity before the first cycle, in [0, final].

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> [Linear(final=0.5, cycles=2)(cycle) for cycle in (0, 1, 2, 3)]
        [0.0, 0.25, 0.5, 0.5]
    """

    def __call__(self, cycle: int) -> float:
        return self.initial + (self.final - self.initial) * min(cycle / self.cycles, 1.0)


@dataclass(frozen=True)
class Cubic(_Rise):
    """Remove many weights at first and fewer later: ``final + (initial - final) * (1 - cycle / cycles) ** 3``.

    Reference: Zhu & Gupta, To Prune, or Not to Prune, 2017, https://arxiv.org/abs/1710.01878.

    Args:
        final: The sparsity reached at cycle ``cycles`` and kept after this cycle, in [0, 1).
        cycles: The number of cycles, at least 1.
        initial: The sparsity before the first cycle, in [0, final].

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> [round(Cubic(final=0.8, cycles=2)(cycle), 3) for cycle in (0, 1, 2, 3)]
        [0.0, 0.7, 0.8, 0.8]
    """

    def __call__(self, cycle: int) -> float:
        return self.final + (self.initial - self.final) * (1 - min(cycle / self.cycles, 1.0)) ** 3


@dataclass(frozen=True)
class Levels(SparsitySchedule):
    """Follow a list of sparsities. After the end of the list, the last sparsity stays.

    A cycle whose level equals the one before keeps its masks bit for bit, and only trains longer. This is the control
    that tells the gain of better masks from the gain of more training.

    Args:
        levels: One sparsity for each cycle from cycle 1 on. Each lies in [0, 1) and is not below the one before.

    Raises:
        ValueError: If the list is empty, a level lies outside [0, 1), or the levels fall.

    Example:
        >>> [Levels([0.5, 0.9])(cycle) for cycle in (0, 1, 2, 3)]
        [0.0, 0.5, 0.9, 0.9]
    """

    levels: list[float]

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "levels", [float(level) for level in self.levels])
        except (TypeError, ValueError) as error:
            raise UserError(f"Levels(levels={self.levels!r}) must be a list of numbers, such as [0.5, 0.9].") from error
        if not self.levels:
            raise UserError("Levels(levels=[]) is empty: give one sparsity for each cycle, for instance [0.5, 0.9].")
        check_levels(f"Levels(levels={self.levels})", self.levels)

    @property
    def cycles(self) -> int:
        """The number of the cycle that reaches the last level."""
        return len(self.levels)

    def __call__(self, cycle: int) -> float:
        return self.levels[min(cycle, len(self.levels)) - 1] if cycle > 0 else 0.0


def refuse_unknown(kind: type, options: collections.abc.Iterable[str]) -> None:
    """Refuse names of arguments that a class does not have. The error lists the arguments that the class has.

    Args:
        kind: The class.
        options: The names of the given arguments.

    Raises:
        TypeError: If the class does not have one of the arguments.

    Example:
        >>> refuse_unknown(OneShot, ["final"])
    """
    parameters = signature(kind).parameters
    unknown = [name for name in options if name not in parameters]
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        offered = [name for name in parameters if name not in getattr(kind, "former_arguments", ())]
        raise TypeError(f"{kind.__name__} has no argument `{unknown[0]}`: write {kind.__name__}({', '.join(offered)}).")


def scheduled(schedule: collections.abc.Callable[[int], float], cycle: int) -> float:
    """The sparsity of a cycle. For cycle 0, the dense run, this is the initial sparsity of the schedule.

    Args:
        schedule: A :class:`SparsitySchedule`, or a function. A function is called for cycles from 1 on only, and cycle
            0 has sparsity 0.
        cycle: The number of the cycle, at least 0.

    Returns:
        The sparsity, in [0, 1).

    Example:
        >>> scheduled(Geometric(fraction=0.2, initial=0.5), 0), scheduled(lambda cycle: [0.5, 0.9][cycle - 1], 0)
        (0.5, 0.0)
    """
    return float(schedule(cycle)) if cycle or isinstance(schedule, SparsitySchedule) else 0.0


def check_levels(owner: str, levels: list[float]) -> None:
    """Refuse sparsities outside [0, 1) and sparsities that fall.

    Args:
        owner: The object that gives the levels, for the error.
        levels: The sparsities of cycles 1, 2, ...

    Raises:
        ValueError: If a level lies outside [0, 1) or below the one before it.
    """
    for cycle, level in enumerate(levels, start=1):
        if not 0 <= level < 1:
            raise UserError(f"{owner} gives sparsity {level} at cycle {cycle}: it must lie in [0, 1).")
        if cycle > 1 and level < levels[cycle - 2]:
            raise UserError(
                f"{owner} falls from sparsity {levels[cycle - 2]} to {level} at cycle {cycle}: dead weights never come "
                "back, so give sparsities that never fall."
            )


def _check_final(owner: SparsitySchedule, final: float, argument: str = "final") -> None:
    check_numbers(owner, {argument: final})
    if not 0 <= final < 1:
        name = type(owner).__name__
        raise UserError(f"{name}({argument}={final}) must lie in [0, 1): 0.9 removes 90 % of the weights.")


def _check_initial(owner: SparsitySchedule, initial: float, final: float) -> None:
    check_numbers(owner, {"initial": initial})
    if not 0 <= initial <= final:
        raise UserError(
            f"{type(owner).__name__}(initial={initial}, final={final}) would rise from above its end: give an initial "
            "sparsity from 0 to the final one."
        )
