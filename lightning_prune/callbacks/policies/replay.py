"""Replay the schedule of the dense run, or its last part, in every cycle."""

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_prune.basics.checks import check_fraction
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import ADDED
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.policies.tape import Rate, Tape
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch
from lightning_prune.callbacks.timing.timeline import is_shorter
from lightning_prune.schedules.durations import Duration, parse_duration
from lightning_prune.schedules.rates.curves import cosine, whole


class LRRewind(LearningRatePolicy):
    """Keep the weights and replay the learning rate of the dense run, step by step.

    The policy replays the recorded rate of every parameter group, under any scheduler or none. It also replays the
    momentum (or first beta) where the schedule cycled the momentum. Where a cycle has another number of steps than the
    recorded stretch (say, on more processes than the dense run), the policy replays by position.

    Reference: Renda, Frankle & Carbin, Comparing Rewinding and Fine-tuning in Neural Network Pruning, 2020,
    https://arxiv.org/abs/2003.02389.

    Args:
        to: The point of the dense run to replay from: ``"10ep"``, ``"500it"``, 0 for its start. None for the last part
            of the dense run, as long as a cycle. A cycle that is longer than the rest of the dense run goes on at the
            last rate.

    Raises:
        ValueError: If ``to`` is not a duration. When the fit starts, if ``to`` lies at or after the end of the dense
            run, or if ``to`` is None and a cycle is longer than the dense run.

    Example:
        >>> policy = LRRewind(to="10ep")
        >>> str(policy.rewind_point), LRRewind().rewind_point
        ('10ep', None)
    """

    replays = True

    def __init__(self, to: str | int | None = None) -> None:
        super().__init__()
        self.to = to
        self.rewind_point = None if to is None else parse_duration(to, "LRRewind(to")

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        dense, retrain = self.clock.dense_length, self.clock.cycle_length
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        refuse_no_dense_run(self)
        warn_of_no_schedule(self, trainer)
        if self.rewind_point is None and is_shorter(dense, retrain, steps_per_epoch(trainer)):
            raise UserError(
                f"LRRewind() cannot replay the last {retrain} of a dense run of {dense}. Retrain for at most as long "
                f"(IterativePruning(retrain='{dense}')), or train the dense network for longer."
            )

    def on_train_epoch_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        cycle = self._cycle
        if cycle is not None and cycle.index == 1 and self.clock.step == cycle.first_step:
            say_one_rate(self, self.rewind_point, cycle)

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        return replayed(self, self.rewind_point, step, cycle)


class DenseScheduleRestart(LearningRatePolicy):
    """Start the learning-rate schedule of the dense run again in every cycle, whatever the weights start from.

    Step ``t`` of a cycle has the recorded rates, and the momentum, of step ``t`` of the dense run. A shorter cycle
    stops before the end of the schedule, and a longer cycle goes on at the last rate. Cycles as long as the dense run
    are the default of ``IterativePruning(retrain=None)``. With such cycles, the policy is the learning-rate rewinding
    of the reproducibility study. Beside ``WeightRewind(to=...)`` it is the weight rewinding of the study, whose
    schedule does not depend on the point that the weights are rewound to.

    Reference: Mikler, Reproducibility Study: Comparing Rewinding and Fine-tuning in Neural Network Pruning, 2021,
    https://arxiv.org/abs/2109.09670, as in the author's code.

    Raises:
        ValueError: When the fit starts, if there is no dense run whose schedule could start again.

    Example:
        >>> policy = DenseScheduleRestart()
        >>> policy.rewind_point is None
        True
    """

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            refuse_no_dense_run(self)
            warn_of_no_schedule(self, trainer)

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        return replayed(self, Duration(0, "ep"), step, cycle)


class CompressedRestart(LearningRatePolicy):
    """Warm up, then replay the whole learning-rate schedule of the dense run, compressed to the length of the cycle.

    The rate goes up from 0 to the largest rate along half a cosine over the first ``w = floor(warmup * B)`` of ``B``
    steps. Then step ``w + j`` has the recorded rate, and the momentum, of step ``floor(j * T / (B - w))`` of the ``T``
    steps of the dense run. Dense steps before the largest rate, such as a warm-up, count as steps with the largest
    rate. ``ScaledRestart`` is the other schedule of this idea, and ``DenseScheduleRestart`` cuts the dense schedule
    off.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843, as in the authors' code, which calls it SLR, after Le & Hua, Network Pruning That
    Matters, 2021, https://arxiv.org/abs/2105.03193.

    Args:
        warmup: The fraction of the cycle that rises, in [0, 1]. The authors' code has 0.1.

    Raises:
        ValueError: If ``warmup`` lies outside its range. When the fit starts, if there is no dense run whose schedule
            could be compressed.

    Example:
        >>> policy = CompressedRestart()
        >>> for step in range(100):
        ...     policy.tape.record(step, (Rate(0.1 if step < 50 else 0.01, 0.9),))
        >>> cycle = Cycle(index=1, first_step=100, steps=20, sparsity=0.2)
        >>> [round(policy.rates(step, cycle)[0].lr, 3) for step in (0, 1, 2, 10, 11, 19)]
        [0.0, 0.05, 0.1, 0.1, 0.01, 0.01]
    """

    def __init__(self, warmup: float = 0.1) -> None:
        super().__init__()
        check_fraction(self, {"warmup": warmup})
        self.warmup = warmup

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            refuse_no_dense_run(self)

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        tape, rise = self.tape, whole(self.warmup, cycle.steps)
        if step < rise:
            row = tape.at(tape.top())
            return _padded(tape, [Rate(cosine(0.0, rate.lr, step / rise), rate.momentum) for rate in row])
        return _padded(tape, tape.at(max((step - rise) * tape.length // (cycle.steps - rise), tape.top())))


def replayed(policy: LearningRatePolicy, point: Duration | None, step: int, cycle: Cycle) -> Sequence[Rate]:
    """The rates of the dense run that a step of a cycle repeats.

    Args:
        policy: The policy, for its tape and its clock.
        point: The point of the dense run to replay from. None for the last part of the run, as long as a cycle.
        step: The step of the cycle, ``0 <= step < cycle.steps``.
        cycle: The cycle.

    Returns:
        One rate for each group at the end of the dense run. Groups that came later, such as an unfrozen backbone, have
        a rate of 0 before they came.
    """
    tape, retrain = policy.tape, policy.clock.cycle_length
    if retrain.unit == "ep" and (point is None or point.unit == "ep"):
        first = len(tape.epochs) - retrain.amount if point is None else point.amount
        # In parts of an epoch of the replay: a cycle that was made longer (ScratchTrain) has it stretched.
        index = _in_epoch(step * retrain.amount, cycle.steps, tape, first)
    else:
        start, span = _stretch(tape, retrain, point)
        index = start + step * span // cycle.steps
    return _padded(tape, tape.at(min(index, tape.length - 1)))


def _padded(tape: Tape, row: Sequence[Rate]) -> Sequence[Rate]:
    """A row with rates of 0 for the groups that came later."""
    later = len(tape.last) - len(row)
    return (*row, *[Rate(lr=0.0, momentum=math.nan)] * later) if later > 0 else row


def _in_epoch(step: int, per_epoch: int, tape: Tape, first: int) -> int:
    """The recorded step at the same place of the same epoch of the replay."""
    ahead, done = divmod(step, per_epoch)
    epoch = max(first, 0) + ahead
    begin = tape.begin_of(epoch)
    return begin + done * (tape.begin_of(epoch + 1) - begin) // per_epoch


def _stretch(tape: Tape, retrain: Duration, point: Duration | None) -> tuple[int, int]:
    """The first recorded step of the replay, and how many recorded steps a cycle stands for."""
    span = retrain.steps(per_epoch=tape.length - tape.begin_of(len(tape.epochs) - 1))
    if point is None:
        return max(tape.length - span, 0), span
    return tape.begin_of(point.amount) if point.unit == "ep" else min(point.amount, tape.length - 1), span


def refuse_no_dense_run(policy: LearningRatePolicy) -> None:
    """Refuse to replay a dense run that does not exist.

    Args:
        policy: The policy that replays.

    Raises:
        ValueError: If there is no dense run.
    """
    if policy.clock.dense_length.amount == 0:
        raise UserError(
            f"{type(policy).__name__} replays the learning rate of the dense run, but there is none (max_epochs=0). "
            "Say what it was: IterativePruning(dense_run=...), or use a policy with a rate of its own, such as "
            "OneCycleRetrain(max_lr=...)."
        )


def say_one_rate(policy: LearningRatePolicy, point: Duration | None, cycle: Cycle) -> None:
    """Say that the replayed part of a schedule has only the last rate, unless the user did not add the policy.

    Args:
        policy: The policy that replays.
        point: The point of the dense run to replay from. None for the last part of the run, as long as a cycle.
        cycle: The first cycle.
    """
    if hasattr(policy, ADDED) or policy.tape.is_constant or replayed(policy, point, 0, cycle) is not policy.tape.last:
        return
    name = type(policy).__name__
    rank_zero_info(
        f"{name}: the part of the dense run that is replayed ({policy.clock.cycle_length}) has the last learning rate "
        f"only, so {name} does what FineTune does. Retrain for longer to replay the larger rates, too."
    )


def warn_of_no_schedule(policy: LearningRatePolicy, trainer: "pl.Trainer") -> None:
    """Warn of a replay of rates that do not change, unless the policy was added without the user asking for it.

    Args:
        policy: The policy that replays.
        trainer: The trainer, with its optimizers set up.
    """
    if hasattr(policy, ADDED) or trainer.lr_scheduler_configs or not policy.tape.is_constant:
        return
    name = type(policy).__name__
    rank_zero_warn(
        f"{name} replays the learning rates of the dense run, but configure_optimizers returns no schedule: unless "
        f"something else changes the rate, it stays the same, and {name} is what FineTune is. Return a schedule, or "
        "use a policy with a course of its own, such as OneCycleRetrain."
    )
