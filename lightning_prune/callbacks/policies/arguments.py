"""Check the arguments of policies, and find the step or the epoch that a rate belongs to."""

from collections.abc import Sequence
from typing import Literal

import lightning.pytorch as pl

from lightning_prune.basics.checks import check_numbers
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import LearningRatePolicy

Interval = Literal["step", "epoch"]


def check_drops(owner: object, drops: Sequence[float], largest: float = float("inf")) -> None:
    """Refuse drops that do not rise, or lie outside the cycle.

    Args:
        owner: The policy, for the error.
        drops: Where the rate drops.
        largest: The largest drop that is allowed.

    Raises:
        ValueError: If a drop is no number or not above 0, a drop is above ``largest``, or the drops do not rise.
    """
    for drop in drops:
        check_numbers(owner, {"drops": drop})
    if any(not 0 < drop <= largest for drop in drops) or list(drops) != sorted(drops):
        what = "be positive" if largest == float("inf") else f"lie in (0, {largest}]"
        raise UserError(f"{type(owner).__name__}(drops={list(drops)}) must {what} and rise, for instance (0.5, 0.75).")


def check_interval(owner: object, interval: str) -> None:
    """Refuse an interval that is neither ``"step"`` nor ``"epoch"``.

    Args:
        owner: The policy, for the error.
        interval: What the rate changes with.

    Raises:
        ValueError: If the interval is anything else.
    """
    if interval not in ("step", "epoch"):
        raise UserError(f"{type(owner).__name__}(interval={interval!r}) must be 'step' or 'epoch'.")


def check_length(policy: LearningRatePolicy, trainer: "pl.Trainer", interval: Interval) -> None:
    """Refuse, when the training starts, a rate that changes with the epoch in cycles that are counted in steps.

    Args:
        policy: The policy.
        trainer: The trainer.
        interval: What its rate changes with.

    Raises:
        ValueError: If the rate changes with the epoch, and cycles are not counted in epochs.
    """
    length = policy.clock.cycle_length
    if interval == "epoch" and length.unit != "ep" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        raise UserError(
            f"{type(policy).__name__}(interval='epoch') changes the rate once an epoch, but cycles of {length} are "
            "counted in steps. Give interval='step', or give IterativePruning(retrain=...) and the dense run in epochs."
        )


def place(policy: LearningRatePolicy, interval: Interval, step: int, cycle: Cycle) -> tuple[int, int]:
    """The position in a cycle at which a rate is taken.

    Args:
        policy: The policy.
        interval: What the rate changes with.
        step: The step of the cycle, ``0 <= step < cycle.steps``.
        cycle: The cycle.

    Returns:
        The step and the number of steps in the cycle, or the epoch of the cycle and the number of its epochs.
    """
    if interval == "step" or policy.clock.cycle_length.unit != "ep":
        return step, cycle.steps
    epochs = policy.clock.cycle_length.amount
    return step * epochs // cycle.steps, epochs
