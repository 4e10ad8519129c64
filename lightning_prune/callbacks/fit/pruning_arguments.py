"""Refuse arguments of IterativePruning before there is a fit."""

import re
from numbers import Integral
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.guesses import refuse_guess
from lightning_prune.callbacks.masking.initial_masks import refuse_missing
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.callbacks.settings.refused_differences import refuse_foreign
from lightning_prune.callbacks.timing.plan_gradual import parse_span
from lightning_prune.criteria import Criterion, scores_units
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.quantities import QUANTITIES
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.schedules.durations import parse_duration
from lightning_prune.schedules.sparsity import SparsitySchedule, check_levels, scheduled

Choice = Literal["cycle", "run"]


def check_arguments(
    cycles: int,
    retrain: str | int | None,
    sparsity: SparsitySchedule,
    optimizer_state: str,
    early_stopping: Choice,
    during: str | None,
    **functions: object,
) -> None:
    """Refuse arguments of ``IterativePruning`` that cannot work in any fit.

    Args:
        cycles: A whole number, at least 0.
        retrain: None, or a duration. A duration of 0 needs a single cycle.
        sparsity: In [0, 1) and never falling over the cycles, its end within them.
        optimizer_state: ``"mask"``, ``"reset"`` or ``"keep"``.
        early_stopping: ``"cycle"`` or ``"run"``.
        during: None, or a span. A span needs at least one cycle.
        functions: The functions that are called: the criterion, the allocation and the selection.

    Raises:
        ValueError: If one of them is not.
    """
    if not isinstance(cycles, Integral) or isinstance(cycles, bool) or cycles < 0:
        raise UserError(
            f"IterativePruning(cycles={cycles!r}) must be a whole number, at least 0: each cycle prunes and "
            "retrains, and 0 trains the dense run only."
        )
    for name, function in {"sparsity": sparsity, **functions}.items():
        refuse_guess(name, function)
    length = None if retrain is None else parse_duration(retrain, "IterativePruning(retrain")
    if length is not None and length.amount < 1 and during is None and cycles > 1:
        raise UserError(
            f"IterativePruning(retrain={retrain!r}, cycles={cycles}) would prune {cycles} times and train nothing in "
            "between. Give retrain at least one epoch or step, or cycles=1, sparsity=lightning_prune.OneShot(0.8) to "
            "prune once when the dense run is over."
        )
    if during is not None:
        parse_span(during)
        if cycles < 1:
            raise UserError(
                f"IterativePruning(during={during!r}, cycles={cycles}) prunes nothing: give at least one cycle."
            )
    if optimizer_state not in ("mask", "reset", "keep"):
        raise UserError(f"IterativePruning(optimizer_state={optimizer_state!r}) must be 'mask', 'reset' or 'keep'.")
    check_choice("early_stopping", early_stopping)
    check_levels(f"IterativePruning(sparsity={sparsity!r})", [float(sparsity(cycle)) for cycle in range(1, cycles + 1)])
    if during is not None and scheduled(sparsity, 0) > scheduled(sparsity, 1):
        raise UserError(
            f"IterativePruning(during={during!r}, sparsity={sparsity!r}) begins the span at the sparsity of cycle 0, "
            f"{scheduled(sparsity, 0)}, and falls to {scheduled(sparsity, 1)} in cycle 1: dead weights never come "
            "back, so give a schedule whose cycle 0 is what it begins with."
        )
    check_last_level(sparsity, cycles, f"sparsity={sparsity!r}")


def check_last_level(sparsity: SparsitySchedule, cycles: int, said: str) -> None:
    """Refuse a schedule that takes more cycles than there are.

    Args:
        sparsity: The schedule.
        cycles: How many cycles there are.
        said: The argument that gives the schedule, for the error.

    Raises:
        ValueError: If its last sparsity is never reached.
    """
    needed = getattr(sparsity, "cycles", 0)
    if needed > cycles > 0:
        raise UserError(
            f"IterativePruning(cycles={cycles}, {said}) would never get to the last sparsity: it takes {needed} "
            "cycles. Give the same number to both."
        )


def check_units(granularity: object, measure: object, masks_from: object | None, criterion: Criterion) -> None:
    """Refuse a granularity or a measure that is none.

    Args:
        granularity: A ``Granularity``.
        measure: One of ``QUANTITIES``, or a ``Latency``.
        masks_from: The run whose masks are used. None if there is none.
        criterion: How much each weight or unit matters.

    Raises:
        ValueError: If one of them is not, a criterion of units goes with single weights, or the masks of another run
            would be divided.
    """
    if not isinstance(granularity, Granularity):
        raise UserError(
            f"IterativePruning(granularity={_written(granularity)}) is no granularity: give an object"
            f"{_granularity_meant(granularity)}."
        )
    if not isinstance(measure, Latency) and measure not in QUANTITIES:
        known = f"{', '.join(map(repr, QUANTITIES))}, or Latency(batch=1, threads=1)"
        raise UserError(f"IterativePruning(measure={_written(measure)}) is unknown: give {known}.")
    if (isinstance(measure, Latency) or measure == "latency") and not granularity.needs_groups:
        raise UserError(
            f"IterativePruning(measure={measure!r}, granularity={granularity!r}): zeros take as long as other numbers. "
            "Give granularity=Structures(), whose units can be removed, or measure='flops'."
        )
    if scores_units(criterion) and granularity.of_weights:
        raise UserError(
            f"IterativePruning(criterion={describe(criterion)}) scores whole units, and granularity={granularity!r} "
            "has none. Give granularity=Structures() or Filters()."
        )
    if masks_from is not None and (granularity != Weights() or measure != "weights"):
        raise UserError(
            f"IterativePruning(masks_from=..., granularity={granularity!r}, measure={measure!r}): the run that "
            "masks_from names has decided which weights live. Leave out granularity and measure."
        )


def _granularity_meant(given: object) -> str:
    """Write the granularity that was probably meant, or the ones that most people want."""
    if isinstance(given, type) and issubclass(given, Granularity):
        return f" of it, {given.__name__}(...)"
    if isinstance(given, str) and (pattern := re.fullmatch(r"(\d+) *(?::|of) *(\d+)", given)):
        return f", lightning_prune.NofM({pattern[1]}, {pattern[2]})"
    return (
        " such as lightning_prune.Structures() for whole channels and neurons, NofM(2, 4), Filters(), "
        "Blocks(rows=4, columns=4), or Weights() for single weights"
    )


def _written(given: object) -> str:
    return given.__name__ if isinstance(given, type) else repr(given)


def check_start(
    used: bool, loaded: object | None, ckpt_path: str | Path | None, initial_masks: str | Path | None
) -> None:
    """Refuse a callback that still holds the masks of another fit, and a checkpoint that holds none.

    Args:
        used: Whether the callback was used in a fit before.
        loaded: The state that was loaded from a checkpoint. None if no state was loaded.
        ckpt_path: The checkpoint that the fit resumes from, if it does.
        initial_masks: The source of the first masks. None if all weights are alive.

    Raises:
        ValueError: If it is one of these.
    """
    if loaded is None:
        refuse_reuse(used)
        refuse_foreign(ckpt_path)
        refuse_missing(initial_masks)


def check_choice(name: str, value: Choice) -> Choice:
    """Refuse what is neither of the two things that a callback of Lightning can work over.

    Args:
        name: The argument.
        value: What was given.

    Returns:
        The same.

    Raises:
        ValueError: If it is not ``"cycle"`` or ``"run"``.
    """
    if value not in ("cycle", "run"):
        raise UserError(f"IterativePruning({name}={value!r}) must be 'cycle' or 'run'.")
    return value


def refuse_reuse(used: bool) -> None:
    """Refuse a callback that still holds the masks of another fit.

    Args:
        used: Whether it does, and this fit neither resumes that one nor begins again.

    Raises:
        ValueError: If so.
    """
    if used:
        raise UserError(
            "This IterativePruning was already used in a fit, and this fit goes on from it: the Trainer has trained "
            "before, or the weights that it pruned are still zero. Give the Trainer new callbacks for a second fit, a "
            "new Trainer and fresh weights for one that begins anew, or resume the first one with "
            "trainer.fit(..., ckpt_path=...)."
        )


def refuse_without_optimizer(trainer: "pl.Trainer") -> None:
    """Refuse a fit in which nothing is trained by an optimizer that we could see.

    Args:
        trainer: The trainer, with its optimizers made.

    Raises:
        ValueError: If ``configure_optimizers`` returned none.
    """
    module = trainer.lightning_module
    if all(type(optimizer).__name__ == "_MockOptimizer" for optimizer in trainer.optimizers):
        raise UserError(
            f"{type(module).__name__}.configure_optimizers returned no optimizer, so nothing would be retrained, and "
            "nobody would keep dead weights at zero. Return the optimizer that trains the weights; with manual "
            "optimization, too."
        )
