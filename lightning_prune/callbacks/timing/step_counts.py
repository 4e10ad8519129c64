"""Count the optimizer steps of epochs and cycles, from the data that the trainer has loaded."""

import math

import lightning.pytorch as pl
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.timing.timeline import Timeline


def steps_per_epoch(trainer: "pl.Trainer") -> int | None:
    """The optimizer steps of every epoch of a fit with loaded data. None if there is no length, or if epochs differ."""
    steps = {_steps_of(trainer, window) for window in windows(trainer)}
    return steps.pop() if len(steps) == 1 else None


def cycle_steps(trainer: "pl.Trainer", timeline: Timeline, counted: int) -> int:
    """How many optimizer steps the cycle has that begins with the current epoch, or within it.

    Args:
        trainer: The trainer, with the data of this epoch loaded.
        timeline: The lengths.
        counted: The steps of the last epoch, for data without a length.
    """
    if timeline.retrain.unit == "it":
        return timeline.retrain.amount
    first = trainer.current_epoch
    planned = [steps_of_epoch(trainer, epoch) for epoch in range(first, first + timeline.retrain.amount)]
    if not has_length(trainer) and counted:  # it may end before limit_train_batches
        return sum(min(steps or counted, counted) for steps in planned)
    return sum(steps or 0 for steps in planned)


def steps_of_epoch(trainer: "pl.Trainer", epoch: int) -> int | None:
    """Count the optimizer steps of one epoch.

    Args:
        trainer: The trainer, with its data loaded.
        epoch: The number of the epoch, as the trainer counts.

    Returns:
        The steps, at least 0. None if the data has no length.
    """
    known = scheduling(trainer)
    window = known[max(first for first in known if first <= epoch)] if known else trainer.accumulate_grad_batches
    return _steps_of(trainer, window)


def _steps_of(trainer: "pl.Trainer", window: int) -> int | None:
    batches = trainer.num_training_batches
    return None if math.isinf(batches) else math.ceil(batches / window)


def windows(trainer: "pl.Trainer") -> set[int]:
    """The numbers of batches that a step takes, over all epochs."""
    return set(scheduling(trainer).values()) or {trainer.accumulate_grad_batches}


def scheduling(trainer: "pl.Trainer") -> dict[int, int]:
    """Batches per step by the first epoch they apply to, if a callback changes them. Epoch 0 is always named."""
    kinds = everywhere(GradientAccumulationScheduler)
    callbacks = [c for c in trainer.callbacks if isinstance(c, kinds)]  # type: ignore[attr-defined]
    return callbacks[-1].scheduling if callbacks else {}


def has_length(trainer: "pl.Trainer") -> bool:
    """Whether the data says how long it is, not only ``limit_train_batches``."""
    loader = trainer.fit_loop._combined_loader
    return loader is not None and all(sized_len(one) is not None for one in loader.flattened)
