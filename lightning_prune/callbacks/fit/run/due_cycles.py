"""Find the cycles that are due, and begin them: before a batch, with an epoch, or after the last batch of the fit."""

import time
from collections.abc import Sequence

import lightning.pytorch as pl

from lightning_prune.callbacks.companions.shrink import whole_network
from lightning_prune.callbacks.compat.after_the_last_epoch import leave_before_batches
from lightning_prune.callbacks.compat.weight_averaging import begin_averages_again
from lightning_prune.callbacks.fit.run.begin_cycle import begin, prune_, tell
from lightning_prune.callbacks.fit.run.parts_of_fit import PartsOfFit
from lightning_prune.callbacks.fit.run.show_last import show_last


def catch_up(fit: PartsOfFit, trainer: "pl.Trainer") -> None:
    """Begin the cycle that the coming batch belongs to, unless it has begun."""
    if fit.timeline.by_epochs and fit.caught_up == trainer.current_epoch:
        fit.at.count_step()  # the module's own on_train_batch_end is after ours
        return
    fit.at.look(trainer, fit.timeline.dense)
    waiting = due_cycles(fit)
    if waiting or fit.at.untold is not None or begins_span(fit, trainer):
        with whole_network(trainer, fit.pruner, fit.hold):
            begin_all(fit, trainer, waiting)
        if fit.ending.has_nothing_to_train:
            fit.shown = False
            leave_before_batches(trainer)
    fit.pruner.gatherer.begin_epoch(fit.at.epoch)  # last: an epoch of a new cycle begins with its weights
    fit.caught_up = trainer.current_epoch


def begin_all(fit: PartsOfFit, trainer: "pl.Trainer", waiting: Sequence[int]) -> None:
    """Begin what is due: the rest of a cycle that was beginning, the first prune of a span, and cycles."""
    if fit.at.untold is not None:  # resumed from a checkpoint that was saved while it began
        tell(fit, trainer, time.perf_counter())
    if begins_span(fit, trainer):
        prune_(fit, trainer, 0)
        begin_averages_again(trainer)
    while waiting:
        for index in waiting:
            begin(fit, trainer, index)
        waiting = due_cycles(fit)  # a cycle may have no length: the next one is due at once


def due_cycles(fit: PartsOfFit) -> range:
    """The numbers of the cycles that the coming batch lies in or behind, and that have not begun."""
    due = min(fit.timeline.index(fit.at.scheduled_epoch, fit.at.steps_since_dense), fit.timeline.cycles)
    return range((fit.at.cycle.index if fit.at.cycle else 0) + 1, due + 1)


def prune_at_the_end(fit: PartsOfFit, trainer: "pl.Trainer") -> None:
    """Prune the network of a dense run that is over, and let it be validated and saved once more."""
    fit.at.look(trainer, fit.timeline.dense)
    with whole_network(trainer, fit.pruner, fit.hold):
        if fit.at.cycle is None:
            fit.at.dense_end = fit.at.step
        begin_all(fit, trainer, range(1 if fit.at.cycle is None else 2, 2))
    show_last(trainer, fit.at, fit.record, fit.pruner.tally())


def begins_span(fit: PartsOfFit, trainer: "pl.Trainer") -> bool:
    """Whether cycles inside the dense run start from a sparsity of their own, which is now due and not reached."""
    if fit.at.cycle is not None or not fit.scheduled(0) or (start := fit.timeline.span_start) is None:
        return False
    return fit.at.has_reached(trainer, start) and not fit.pruner.has_reached(fit.scheduled(0))
