"""Begin a cycle: prune, lay it out, tell everybody. The order in this file is the design."""

import time

import lightning.pytorch as pl

from lightning_prune.callbacks.compat.weight_averaging import begin_averages_again
from lightning_prune.callbacks.cycle import announce_prune, listeners
from lightning_prune.callbacks.fit.finite import refuse_diverged
from lightning_prune.callbacks.fit.notices import say_cycle
from lightning_prune.callbacks.fit.run.lay_out import lay_out
from lightning_prune.callbacks.fit.run.parts_of_fit import PartsOfFit
from lightning_prune.callbacks.fit.trained import warn_of_untrained
from lightning_prune.callbacks.masking.processes import take_from_first
from lightning_prune.selection.sharding import reshard


def begin(fit: PartsOfFit, trainer: "pl.Trainer", index: int) -> None:
    """Begin a cycle: prune, lay it out, tell everybody. The order is the design."""
    began = time.perf_counter()
    # While ``at.cycle`` is still the phase that ends: the hooks before a prune and the errors are of that phase.
    prune_(fit, trainer, index)
    # After the prune: how long a cycle lasts may depend on what is left. Before the calls: they need its length.
    fit.at.cycle = lay_out(trainer, fit.at, fit.timeline, fit.ending, index, fit.scheduled(index))
    # Before the first call: a checkpoint that one of them saves has a cycle that is beginning, with who is left.
    fit.at.untold = len(listeners(trainer, fit.at.cycle))
    tell(fit, trainer, began)


def tell(fit: PartsOfFit, trainer: "pl.Trainer", began: float) -> None:
    """Tell the listeners of the cycle, and begin all else that begins with it."""
    assert fit.at.cycle is not None
    calls = listeners(trainer, fit.at.cycle)
    for call in calls[max(len(calls) - (fit.at.untold or 0), 0) :]:
        # Before the call: who saves a checkpoint in it has done its work, and is not called again.
        fit.at.untold = (fit.at.untold or 0) - 1
        call()
    # The listeners may have set weights: whole ones of FSDP2 are out of date, and dead ones may have come back.
    reshard(trainer.lightning_module)
    fit.hold.apply_()
    # From here on the weights are those that the cycle starts from, for whoever remembers or averages them.
    fit.pruner.gatherer.begin_phase()
    begin_averages_again(trainer)
    fit.ending.begin_cycle(trainer)
    # It has begun: a fit that resumes from here on does nothing of the above again.
    fit.at.untold = None
    say_cycle(trainer, fit.at.cycle.index, fit.timeline.cycles, fit.pruner.tally(), fit.pruner.living_network())
    fit.record.add(trainer, fit.at.cycle, fit.pruner.tally(), time.perf_counter() - began)


def prune_(fit: PartsOfFit, trainer: "pl.Trainer", index: int) -> None:
    """Let weights die: look, score, agree, hold."""
    reshard(trainer.lightning_module)  # or FSDP2 would go on with whole weights from before the prune
    refuse_diverged(trainer.lightning_module, fit.at.cycle)  # before anything is made of such weights
    announce_prune(trainer)  # the network as it was trained, for the last time
    if fit.at.cycle is None:
        # Before the scores: what nobody trained in the dense run is not to be ranked with the rest.
        fit.trained.end_dense_run(trainer.world_size)
        warn_of_untrained(fit.leave_untrained(trainer, masked=fit.pruner.held()))
    fit.pruner.follow_(index, fit.scheduled, trainer)
    take_from_first(trainer, fit.pruner.masks)  # each process has scored on data of its own
    fit.hold_agreed(trainer)
    fit.hold.treat_(trainer.optimizers, fit.optimizer_state)  # by the masks that are held now
