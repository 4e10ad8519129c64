"""The arithmetic over epochs and steps that decides when the cycles begin, without a trainer."""

from dataclasses import dataclass
from functools import cached_property

from lightning_prune.basics.user_error import UserError
from lightning_prune.schedules.durations import Duration


@dataclass(frozen=True)
class Timeline:
    """A dense run and the cycles after it.

    If both lengths are given in epochs, cycles begin at epochs. Otherwise they begin at optimizer steps, counted from
    the step at which the dense run ended.

    Args:
        dense: The length of the dense run.
        retrain: The length of a cycle. 0: the one cycle trains nothing, and prunes when the dense run is over.
        cycles: How many cycles.
        before: The length of the dense run that came before the fit, if there was one. ``dense`` is 0 then.
        inside: The length of the fit, if cycles lie inside the dense run. ``dense`` is then the length before the first
            cycle.

    Example:
        >>> timeline = Timeline(Duration(30, "ep"), Duration(15, "ep"), cycles=10)
        >>> [timeline.index(epoch=epoch, steps_since_dense=None) for epoch in (0, 29, 30, 44, 45, 180)]
        [0, 0, 1, 1, 2, 11]
    """

    dense: Duration
    retrain: Duration
    cycles: int
    before: Duration | None = None
    inside: Duration | None = None

    @property
    def dense_run(self) -> Duration:
        """The length of the dense run, in this fit or before it."""
        return self.before or self.dense

    @cached_property  # asked for in every step
    def by_epochs(self) -> bool:
        """Whether cycles begin at epochs."""
        return self.dense.unit == "ep" and self.retrain.unit == "ep"

    @cached_property
    def only_prunes(self) -> bool:
        """Whether the one cycle has no length: the network is pruned at the end of the dense run, and not trained."""
        return self.cycles > 0 and self.inside is None and not self.retrain.amount

    @cached_property
    def retrains(self) -> bool:
        """Whether cycles are trained after the dense run."""
        return self.cycles > 0 and self.inside is None and self.retrain.amount > 0

    @property
    def epochs(self) -> int:
        """How many epochs the whole run has, if it goes by epochs."""
        return self.inside.amount if self.inside else self.dense.amount + self.cycles * self.retrain.amount

    @property
    def span_start(self) -> Duration | None:
        """Where the span of cycles inside the dense run begins. None if the cycles come after the dense run."""
        return Duration(self.dense.amount - self.retrain.amount, self.dense.unit) if self.inside else None

    def in_one_unit(self, per_epoch: int | None) -> "Timeline":
        """The same with the cycles in steps, unless everything is in epochs.

        Args:
            per_epoch: Optimizer steps in an epoch. None if unknown.

        Raises:
            ValueError: If the cycles are in epochs of unknown length.
        """
        if self.by_epochs:
            return self
        argument = f"IterativePruning(retrain='{self.retrain}')"
        return Timeline(self.dense, in_steps(self.retrain, per_epoch, argument), self.cycles, self.before)

    def index(self, epoch: int, steps_since_dense: int | None) -> int:
        """The number of the cycle that a batch belongs to.

        Args:
            epoch: The epoch of the batch, counted from 0.
            steps_since_dense: The optimizer steps made since the dense run ended. None while the dense run goes on.

        Returns:
            0 in the dense run, ``cycles + 1`` after the last cycle. 0 always where the cycle has no length: no batch
            belongs to it.
        """
        steps = -1 if steps_since_dense is None else steps_since_dense
        since = epoch - self.dense.amount if self.by_epochs else steps
        return 0 if since < 0 or self.only_prunes else 1 + since // self.retrain.amount


def is_shorter(one: Duration, other: Duration, per_epoch: int | None) -> bool:
    """Whether one duration is shorter than the other. Compared in steps if their units differ."""
    left, right = common(one, other, f"IterativePruning with a dense run and cycles of {one} and {other}", per_epoch)
    return left.amount < right.amount


def common(one: Duration, other: Duration, argument: str, per_epoch: int | None) -> tuple[Duration, Duration]:
    """Both in the same unit: epochs if both are, else steps."""
    if one.unit == other.unit:
        return one, other
    return in_steps(one, per_epoch, argument), in_steps(other, per_epoch, argument)


def in_steps(duration: Duration, per_epoch: int | None, argument: str) -> Duration:
    """A duration in optimizer steps.

    Args:
        duration: The duration.
        per_epoch: Optimizer steps in an epoch. None if unknown.
        argument: The class and argument, for the error.

    Returns:
        The same duration in steps.

    Raises:
        ValueError: If it is in epochs and their length is unknown.
    """
    if duration.unit == "it":
        return duration
    if per_epoch is None:
        raise UserError(
            f"{argument} mixes epochs and steps, but an epoch has no known number of steps: the training data has no "
            "length, or GradientAccumulationScheduler changes it. Give all durations in the same unit."
        )
    return Duration(duration.steps(per_epoch), "it")
