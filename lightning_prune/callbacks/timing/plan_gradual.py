"""Plan cycles inside the dense run: gradual pruning, while the network is trained."""

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.timing.timeline import Timeline, in_steps
from lightning_prune.schedules.durations import Duration, parse_duration


def parse_span(during: str) -> tuple[Duration, Duration]:
    """Read ``"5ep:25ep"``: from when to when.

    Args:
        during: Two durations of the same unit, the first before the second.

    Returns:
        Both.

    Raises:
        ValueError: If it is not that.

    Example:
        >>> parse_span("5ep:25ep")
        (Duration(amount=5, unit='ep'), Duration(amount=25, unit='ep'))
    """
    first, _, last = str(during).partition(":")
    try:
        start, end = (parse_duration(part, "during") for part in (first, last))
    except ValueError:
        start = end = Duration(0, "ep")
    if start.unit != end.unit or start.amount >= end.amount:
        raise UserError(
            f"IterativePruning(during={during!r}) is not a span: write '5ep:25ep' for the epochs from 5 to 25, or "
            "'500it:2500it' for optimizer steps."
        )
    return start, end


def plan_inside(
    total: Duration, during: str, retrain: str | int | None, cycles: int, per_epoch: int | None
) -> Timeline:
    """Lay out cycles inside the dense run: cycle k begins k intervals after the start of the span, the last at its end.

    If the schedule has an initial sparsity, the run prunes to it at the start of the span, without beginning a cycle.

    Reference: Zhu & Gupta, To Prune, or Not to Prune, 2017, https://arxiv.org/abs/1710.01878 (t0 and t0 + n dt).

    Args:
        total: The length of the dense run.
        during: The span.
        retrain: The interval between two cycles as the user gave it. None or 0 to divide the span evenly.
        cycles: How many cycles, at least 1.
        per_epoch: Optimizer steps in an epoch. None if unknown.

    Returns:
        The timeline.

    Raises:
        ValueError: If these do not fit together.

    Example:
        >>> timeline = plan_inside(Duration(30, "ep"), "5ep:25ep", None, cycles=10, per_epoch=22)
        >>> [timeline.index(epoch, None) for epoch in (0, 6, 7, 9, 25, 29)]
        [0, 0, 1, 2, 10, 12]
    """
    argument = f"IterativePruning(during={during!r}"
    start, end = parse_span(during)
    interval = None if retrain is None else parse_duration(retrain, "IterativePruning(retrain")
    span = Duration(end.amount - start.amount, end.unit)
    if interval is None or interval.amount == 0:
        interval = _share(span, argument, cycles, per_epoch)
    if interval.unit != span.unit:
        start, end, span, interval = (in_steps(x, per_epoch, f"{argument})") for x in (start, end, span, interval))
    if interval.amount * cycles != span.amount:
        raise UserError(
            f"{argument}, cycles={cycles}, retrain='{interval}') do not agree: {cycles} intervals of {interval} are "
            f"not {span}. Leave retrain out to divide the span evenly, or change one of them."
        )
    _refuse_late_end(total, end, argument, per_epoch)
    return Timeline(Duration(start.amount + interval.amount, start.unit), interval, cycles, inside=total)


def _refuse_late_end(total: Duration, end: Duration, argument: str, per_epoch: int | None) -> None:
    last, length = end, total
    if last.unit != length.unit:
        last, length = (in_steps(x, per_epoch, f"{argument})") for x in (end, total))
    if last.amount >= length.amount:
        raise UserError(
            f"{argument}) ends at or after the end of the dense run ({total}), so the last sparsity would never be "
            "trained with. Give a span that ends before, or train for longer."
        )


def _share(span: Duration, argument: str, cycles: int, per_epoch: int | None) -> Duration:
    """The span divided by the number of cycles, in steps if it is no whole number of epochs."""
    if span.amount % cycles:
        span = in_steps(span, per_epoch, f"{argument})")
    if span.amount % cycles:
        raise UserError(
            f"{argument}, cycles={cycles}) cannot be divided into {cycles} equal intervals of whole optimizer steps. "
            "Change the number of cycles, or the span."
        )
    return Duration(span.amount // cycles, span.unit)
