"""Rates that go up and down in triangles within a cycle."""

from dataclasses import dataclass

from lightning_prune.basics.checks import check_at_least, check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.policies.peaked import ConstantPeak, Course, PeakedRate, SPeak
from lightning_prune.schedules import rates


@dataclass(frozen=True)
class Triangles(Course):
    """Go from the bottom to the peak and back in straight lines, again and again.

    Args:
        bottom: The lowest rate, at least 0. Where the peak is lower, the peak counts.
        half_period: The length of one line. A float up to 1 is a fraction of the cycle, anything else is a number of
            optimizer steps. A line has at least one step.

    Example:
        >>> [Triangles(half_period=2).at(step, steps=6, peak=1.0) for step in range(6)]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    bottom: float = 0.0
    half_period: int | float = 0.1

    def at(self, step: int, steps: int, peak: float) -> float:
        return rates.triangular(step, steps, min(self.bottom, peak), peak, self.half_period)

    def check(self, owner: object) -> None:
        check_positive(owner, {"half_period": self.half_period})
        check_at_least(owner, 0, {"bottom": self.bottom})


class Cyclical(PeakedRate):
    """Let the rate go from the bottom to the peak and back in straight lines, again and again.

    The rate is ``bottom + (max_lr - bottom) * max(0, 1 - |step / h - 2 * floor(1 + step / (2 * h)) + 1|)``, as in
    ``torch.optim.lr_scheduler.CyclicLR``. Where ``2 * h`` divides the cycle, the cycle ends one step short of the
    bottom. Where ``2 * h`` does not divide the cycle, the network may be pruned at a high rate.

    Reference: Smith, Cyclical Learning Rates for Training Neural Networks, 2017, https://arxiv.org/abs/1506.01186. It
    is one of the four baselines of Liu et al. (SILO), 2023, https://arxiv.org/abs/2212.06144, where ``h`` is 8000
    steps and ``bottom`` is 0, both not confirmed.

    Args:
        max_lr: The peak, above 0. None for the largest rate of the dense run.
        bottom: The lowest rate, at least 0. Where the peak is lower, the peak counts. The default is not confirmed.
        half_period: The length ``h`` of one line. A float up to 1 is a fraction of the cycle, anything else is a number
            of optimizer steps. A line has at least one step. The default, five triangles in a cycle, is a choice of
            this package.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from lightning_prune import Cycle
        >>> policy = Cyclical(max_lr=0.1, half_period=0.25)
        >>> cycle = Cycle(index=1, first_step=0, steps=8, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 3) for step in range(8)]
        [0.0, 0.05, 0.1, 0.05, 0.0, 0.05, 0.1, 0.05]
    """

    def __init__(self, max_lr: float | None = None, bottom: float = 0.0, half_period: int | float = 0.1) -> None:
        super().__init__(ConstantPeak(max_lr), Triangles(bottom, half_period))
        if max_lr is not None and bottom > max_lr:
            raise UserError(f"Cyclical(max_lr={max_lr}, bottom={bottom}): the bottom lies above the peak; swap them.")
        self.max_lr, self.bottom, self.half_period = max_lr, bottom, half_period


class SCyclical(PeakedRate):
    """S-Cyc: triangles, whose peak grows along an S as the network gets sparser.

    ``Cyclical`` has the same triangles, and ``SILOSchedule`` has the same peak. The paper's formula and constants are
    not confirmed. The S, ``beta`` and ``delay`` are taken from SILO, by the same authors. ``low`` and ``rise`` have no
    default. The half period is said to be 8000 steps, and the bottom 0.

    Reference: Liu, Tan & Motani, S-Cyc: A Learning Rate Schedule for Iterative Pruning of ReLU-based Networks, 2021,
    https://arxiv.org/abs/2110.08764.

    Args:
        low: The peak before it grows, above 0.
        rise: How much the peak grows, at least 0.
        beta: How steeply the peak grows, above 0. The default is not confirmed.
        delay: The last cycle with the low peak, at least 0. The default is not confirmed.
        bottom: The lowest rate, at least 0 and at most ``low``. The default is not confirmed.
        half_period: The length of one line. A float up to 1 is a fraction of the cycle, anything else is a number of
            optimizer steps. A line has at least one step. The default, five triangles in a cycle, is a choice of this
            package.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from lightning_prune import Cycle
        >>> policy = SCyclical(low=0.03, rise=0.04, half_period=0.25)
        >>> first = Cycle(index=1, first_step=0, steps=8, sparsity=0.2)
        >>> [round(policy.learning_rate(step, first), 3) for step in range(8)]
        [0.0, 0.015, 0.03, 0.015, 0.0, 0.015, 0.03, 0.015]
    """

    def __init__(
        self,
        low: float,
        rise: float,
        beta: float = 5,
        delay: int = 1,
        bottom: float = 0.0,
        half_period: int | float = 0.1,
    ) -> None:
        super().__init__(SPeak(low, rise, beta, delay), Triangles(bottom, half_period))
        if bottom > low:
            raise UserError(f"SCyclical(low={low}, bottom={bottom}): the bottom lies above the lowest peak; lower it.")
        self.low, self.rise, self.beta, self.delay = low, rise, beta, delay
        self.bottom, self.half_period = bottom, half_period
