"""When the cycles begin: arithmetic over epochs and steps, without a trainer."""

from dataclasses import dataclass

from lightning_prune.durations import Duration, parse_duration


@dataclass(frozen=True)
class Timeline:
    """A dense run and the cycles after it.

    Where both are given in epochs, cycles begin at epochs; otherwise at optimizer steps, counted from the step at
    which the dense run ended.

    Args:
        dense: The length of the dense run.
        retrain: The length of a cycle, at least 1.
        cycles: How many cycles.
        before: The length of the dense run that came before the fit, where one did; ``dense`` is 0 then.
        inside: The length of the fit, where cycles lie inside the dense run; ``dense`` is what comes before the first.

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

    @property
    def by_epochs(self) -> bool:
        """Whether cycles begin at epochs."""
        return self.dense.unit == "ep" and self.retrain.unit == "ep"

    @property
    def epochs(self) -> int:
        """How many epochs the whole run has, if it goes by epochs."""
        return self.inside.amount if self.inside else self.dense.amount + self.cycles * self.retrain.amount

    def in_one_unit(self, per_epoch: int | None) -> "Timeline":
        """The same with the cycles in steps, unless everything is in epochs.

        Args:
            per_epoch: Optimizer steps in an epoch; None if unknown.

        Raises:
            ValueError: If the cycles are in epochs of unknown length.
        """
        if self.by_epochs:
            return self
        argument = f"IterativePruning(retrain='{self.retrain}')"
        return Timeline(self.dense, in_steps(self.retrain, per_epoch, argument), self.cycles, self.before)

    def cycle_steps(self, per_epoch: int) -> int:
        """How many optimizer steps a cycle has, for epochs of ``per_epoch`` steps."""
        return self.retrain.steps(per_epoch)

    def index(self, epoch: int, steps_since_dense: int | None) -> int:
        """The number of the cycle that a batch belongs to.

        Args:
            epoch: The epoch of the batch, counted from 0.
            steps_since_dense: The optimizer steps made since the dense run ended; None while it goes on.

        Returns:
            0 in the dense run, ``cycles + 1`` after the last cycle.
        """
        if self.by_epochs:
            since, length = epoch - self.dense.amount, self.retrain.amount
        else:
            since, length = -1 if steps_since_dense is None else steps_since_dense, self.retrain.amount
        return 0 if since < 0 else 1 + since // length


@dataclass(frozen=True)
class Rewind:
    """The point of the dense run that every cycle goes back to.

    Args:
        point: The point.
        owner: The class that was given it, for errors.
        replays: Whether the cycle repeats the learning rates of the dense run from there.
    """

    point: Duration
    owner: str
    replays: bool

    def __str__(self) -> str:
        return f"{self.owner}(to='{self.point}')"


def plan(
    dense: Duration,
    retrain: str | int | None,
    cycles: int,
    rewind: Rewind | None,
    per_epoch: int | None,
    before: Duration | None = None,
) -> Timeline:
    """Lay out a run.

    Args:
        dense: The length of the dense run.
        retrain: The length of a cycle as the user gave it; None to take what remains of the dense run.
        cycles: How many cycles.
        rewind: Where every cycle goes back to, if anywhere.
        per_epoch: Optimizer steps in an epoch; None if the data has no length.
        before: The length of the dense run that came before the fit, where one did.

    Returns:
        The timeline.

    Raises:
        ValueError: If these do not fit together.

    Example:
        >>> plan(Duration(30, "ep"), "500it", cycles=2, rewind=None, per_epoch=22).by_epochs
        False
    """
    given = None if retrain is None else parse_duration(retrain, "IterativePruning(retrain")
    length = resolve_retrain(given, before or dense, rewind, per_epoch)
    return Timeline(dense, length, cycles, before).in_one_unit(per_epoch)


def resolve_retrain(given: Duration | None, dense: Duration, rewind: Rewind | None, per_epoch: int | None) -> Duration:
    """Decide how long a cycle lasts, and refuse what does not fit together.

    Args:
        given: What the user asked for; None to take what remains of the dense run.
        dense: The length of the dense run.
        rewind: Where every cycle goes back to, if anywhere.
        per_epoch: Optimizer steps in an epoch; None if the data has no length.

    Returns:
        The length of a cycle, in epochs if everything is given in epochs.

    Raises:
        ValueError: If the rewind point is not within the dense run, the replay would stop short of its end, there is
            no dense run to take the length from, or epochs and steps are mixed over data without a length.

    Example:
        >>> dense = Duration(30, "ep")
        >>> str(resolve_retrain(None, dense, Rewind(Duration(10, "ep"), "LRRewind", True), per_epoch=None))
        '20ep'
        >>> str(resolve_retrain(None, dense, Rewind(Duration(500, "it"), "WeightRewind", True), per_epoch=22))
        '160it'
    """
    if rewind is not None:
        _check_point(rewind, dense, per_epoch)
    if given is not None and (rewind is None or not rewind.replays):
        return given
    remaining = dense if rewind is None else _remaining(rewind, dense, per_epoch)
    if given is None and not remaining.amount:
        raise ValueError(
            f"IterativePruning(retrain=None) takes the length of the dense run, which is {dense}: say how long each "
            "cycle lasts, for instance retrain='15ep'."
        )
    if given is not None and is_shorter(given, remaining, per_epoch):
        raise ValueError(
            f"IterativePruning(retrain='{given}') and {rewind} disagree: the replay would stop short of the end of the "
            f"dense run ({dense}), at a learning rate that was never meant to be the last. Change one of the two: "
            f"retrain='{remaining}' (or leave it out), or a rewind point from which '{given}' remain."
        )
    return remaining if given is None else given


def _check_point(rewind: Rewind, dense: Duration, per_epoch: int | None) -> None:
    if rewind.point.amount == 0:
        return
    point, end = _common(rewind.point, dense, str(rewind), per_epoch)
    if point.amount >= end.amount:
        length = f"{dense}" if end == dense else f"{dense}, which is {end}"
        raise ValueError(
            f"{rewind} lies at or after the end of the dense run ({length}): there is nothing to go back to. Give an "
            "earlier point, or train the dense network for longer (Trainer(max_epochs=...))."
        )


def _remaining(rewind: Rewind, dense: Duration, per_epoch: int | None) -> Duration:
    if rewind.point.amount == 0:
        return dense
    start, end = _common(rewind.point, dense, str(rewind), per_epoch)
    return Duration(end.amount - start.amount, end.unit)


def is_shorter(one: Duration, other: Duration, per_epoch: int | None) -> bool:
    """Whether one duration is shorter than the other; in steps, if their units differ."""
    left, right = _common(one, other, f"IterativePruning with a dense run and cycles of {one} and {other}", per_epoch)
    return left.amount < right.amount


def _common(one: Duration, other: Duration, argument: str, per_epoch: int | None) -> tuple[Duration, Duration]:
    """Both in the same unit: epochs if both are, else steps."""
    if one.unit == other.unit:
        return one, other
    return in_steps(one, per_epoch, argument), in_steps(other, per_epoch, argument)


def in_steps(duration: Duration, per_epoch: int | None, argument: str) -> Duration:
    """A duration in optimizer steps.

    Args:
        duration: The duration.
        per_epoch: Optimizer steps in an epoch; None if unknown.
        argument: The class and argument, for the error.

    Returns:
        The same duration in steps.

    Raises:
        ValueError: If it is in epochs and their length is unknown.
    """
    if duration.unit == "it":
        return duration
    if per_epoch is None:
        raise ValueError(
            f"{argument} mixes epochs and steps, but an epoch has no known number of steps: the training data has no "
            "length, or GradientAccumulationScheduler changes it. Give all durations in the same unit."
        )
    return Duration(duration.steps(per_epoch), "it")
