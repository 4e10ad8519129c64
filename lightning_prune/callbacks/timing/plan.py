"""Plan the lengths of the dense run and the cycles, and refuse lengths that do not fit together."""

from dataclasses import dataclass

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.timing.timeline import Timeline, common, is_shorter
from lightning_prune.schedules.durations import Duration, parse_duration


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
        retrain: The length of a cycle as the user gave it. None: the rest of the dense run from the rewind point.
        cycles: How many cycles.
        rewind: Where every cycle goes back to, if anywhere.
        per_epoch: Optimizer steps in an epoch. None if the data has no length.
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
    if not length.amount:
        return Timeline(dense, Duration(0, dense.unit), cycles, before)
    return Timeline(dense, length, cycles, before).in_one_unit(per_epoch)


def resolve_retrain(given: Duration | None, dense: Duration, rewind: Rewind | None, per_epoch: int | None) -> Duration:
    """Decide how long a cycle lasts, and refuse what does not fit together.

    Args:
        given: The length that the user asked for. None: the rest of the dense run from the rewind point.
        dense: The length of the dense run.
        rewind: Where every cycle goes back to, if anywhere.
        per_epoch: Optimizer steps in an epoch. None if the data has no length.

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
        raise UserError(
            f"IterativePruning(retrain=None) takes the length of the dense run, which is {dense}: say how long each "
            "cycle lasts, for instance retrain='15ep'."
        )
    if given is not None and is_shorter(given, remaining, per_epoch):
        raise UserError(
            f"IterativePruning(retrain='{given}') and {rewind} disagree: the replay would stop short of the end of the "
            f"dense run ({dense}), at a learning rate that was never meant to be the last. Change one of the two: "
            f"retrain='{remaining}' (or leave it out), or a rewind point from which '{given}' remain."
        )
    return remaining if given is None else given


def _check_point(rewind: Rewind, dense: Duration, per_epoch: int | None) -> None:
    if rewind.point.amount == 0:
        return
    point, end = common(rewind.point, dense, str(rewind), per_epoch)
    if point.amount >= end.amount:
        length = f"{dense}" if end == dense else f"{dense}, which is {end}"
        raise UserError(
            f"{rewind} lies at or after the end of the dense run ({length}): there is nothing to go back to. Give an "
            "earlier point, or train the dense network for longer (Trainer(max_epochs=...))."
        )


def _remaining(rewind: Rewind, dense: Duration, per_epoch: int | None) -> Duration:
    if rewind.point.amount == 0:
        return dense
    start, end = common(rewind.point, dense, str(rewind), per_epoch)
    return Duration(end.amount - start.amount, end.unit)
