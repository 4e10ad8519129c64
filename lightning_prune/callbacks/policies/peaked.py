"""Rates of two parts: the peak of every cycle, and the course up to that peak and down again within a cycle.

Both parts are values, and every peak goes with every course: ``PeakedRate(SPeak(0.03, 0.04), Triangles())`` is a new
policy. The schedules of the papers are such pairs under the names and with the arguments of the papers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from lightning_prune.basics.checks import check_numbers, check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import ShapedRate
from lightning_prune.schedules import rates


class Part:
    """A peak or a course."""

    def check(self, owner: object) -> None:
        """Refuse arguments outside their range. By default, none is refused.

        Args:
            owner: The object that the user has given them to, for the error.
        """


class Peak(Part, ABC):
    """The peak rate of every cycle. To add one, derive a frozen dataclass and write ``at``."""

    @abstractmethod
    def at(self, cycle: Cycle, densities: Callable[[int], float]) -> float | None:
        """The peak of a cycle.

        Args:
            cycle: The cycle.
            densities: Maps the number of a cycle to the density that is scheduled for the cycle, in [0, 1].

        Returns:
            The rate, above 0. None for the largest rate of the dense run.
        """


class Course(Part, ABC):
    """The rates within a cycle, for a given peak. To add one, derive a frozen dataclass and write ``at``."""

    @abstractmethod
    def at(self, step: int, steps: int, peak: float) -> float:
        """The rate of a step.

        Args:
            step: The step of the cycle, ``0 <= step < steps``.
            steps: How many steps the cycle has.
            peak: The peak of the cycle, which the rate never exceeds.

        Returns:
            The learning rate, in [0, peak].
        """


@dataclass(frozen=True)
class ConstantPeak(Peak):
    """The same peak in every cycle.

    Args:
        max_lr: The peak, above 0. None for the largest rate of the dense run.

    Example:
        >>> cycle = Cycle(index=4, first_step=0, steps=8, sparsity=1 - 0.8**4)
        >>> ConstantPeak(0.1).at(cycle, densities=lambda number: 0.8**number)
        0.1
    """

    max_lr: float | None = None

    def at(self, cycle: Cycle, densities: Callable[[int], float]) -> float | None:
        return self.max_lr

    def check(self, owner: object) -> None:
        check_positive(owner, {"max_lr": self.max_lr}, none=True)


@dataclass(frozen=True)
class SPeak(Peak):
    """A peak that grows along an S as the network gets sparser, as the peak of SILO does.

    Up to cycle ``delay`` the peak is ``low``. Then the peak grows to ``low + rise`` as further weights are removed. The
    peak is half way where half of the weights left at ``delay`` are gone.

    Args:
        low: The peak before it grows, above 0.
        rise: How much the peak grows, at least 0.
        beta: How steeply the peak grows, above 0.
        delay: The last cycle with the low peak, at least 0.

    Example:
        >>> cycle = Cycle(index=4, first_step=0, steps=8, sparsity=1 - 0.8**4)
        >>> round(SPeak(0.03, 0.04).at(cycle, densities=lambda number: 0.8**number), 5)
        0.04761
    """

    low: float
    rise: float
    beta: float = 5
    delay: int = 1

    def at(self, cycle: Cycle, densities: Callable[[int], float]) -> float:
        if cycle.index <= self.delay:
            return self.low
        return rates.s_shape(cycle.density, densities(self.delay), self.low, self.rise, self.beta)

    def check(self, owner: object) -> None:
        check_positive(owner, {"low": self.low, "beta": self.beta})
        check_numbers(owner, {"rise": self.rise, "delay": self.delay})
        if self.rise < 0 or self.delay < 0:
            name = type(owner).__name__
            raise UserError(f"{name}(rise={self.rise}, delay={self.delay}): none may be negative.")


class PeakedRate(ShapedRate):
    """Go up to the peak of the cycle and down again: any peak with any course.

    Args:
        peaks: The peak of every cycle: ``ConstantPeak``, ``SPeak``, or a ``Peak`` of your own.
        course: The course within a cycle: ``Drops``, ``Triangles``, or a ``Course`` of your own.

    Raises:
        ValueError: If an argument of the peak or the course lies outside its range.

    Example:
        >>> from lightning_prune.callbacks.policies.cyclical import Triangles
        >>> policy = PeakedRate(SPeak(low=0.03, rise=0.04), Triangles())
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 3) for step in range(5)]
        [0.0, 0.015, 0.03, 0.015, 0.0]
    """

    def __init__(self, peaks: Peak, course: Course) -> None:
        super().__init__()
        for part in (peaks, course):  # a schedule of a paper has their arguments as its own
            part.check(part if type(self) is PeakedRate else self)
        self.peaks = peaks
        self.course = course

    def highest(self, cycle: Cycle) -> float:
        peak = self.peaks.at(cycle, lambda number: 1 - self.clock.scheduled(number))
        return self.dense_peak if peak is None else peak

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        return self.course.at(step, cycle.steps, self.highest(cycle))
