"""Lay out a cycle that begins: as long as planned, or as a callback asks for."""

from dataclasses import replace

import lightning.pytorch as pl

from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.fit.ending import Ending
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.step_counts import cycle_steps
from lightning_prune.callbacks.timing.timeline import Timeline


def lay_out(
    trainer: "pl.Trainer", at: Position, timeline: Timeline, ending: Ending, index: int, sparsity: float
) -> Cycle:
    """Ask the callbacks how long a cycle lasts, and move all that comes after it.

    Args:
        trainer: The trainer.
        at: The position of the fit, which is told.
        timeline: The plan.
        ending: What moves the limits of Lightning.
        index: The number of the cycle.
        sparsity: Its sparsity.

    Returns:
        The cycle.
    """
    planned, length = timeline.retrain, None
    for callback in trainer.callbacks if timeline.retrains else ():  # type: ignore[attr-defined]
        if isinstance(callback, CycleCallback):
            length = callback.length_of(trainer, trainer.lightning_module, index) or length
    lasting = replace(timeline, retrain=length or planned)
    at.lengthen(timeline, lasting.retrain.amount - planned.amount)
    if length is not None:
        ending.follow(trainer, over=True)  # after lengthen: the limits are those of the plan
    return Cycle(index, at.step, cycle_steps(trainer, lasting, at.epoch_steps), sparsity)
