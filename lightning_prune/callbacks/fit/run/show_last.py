"""Show a network that was pruned after the last batch of the fit."""

import lightning.pytorch as pl

from lightning_prune.callbacks.compat.after_the_last_epoch import save_again, validate
from lightning_prune.callbacks.fit.record import Record
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.masks.tally import Tally


def show_last(trainer: "pl.Trainer", at: Position, record: Record, tally: Tally) -> None:
    """Log, validate and save the network as it is when the fit is over.

    Args:
        trainer: The trainer, in ``on_train_end``.
        at: The position of the fit, in its last cycle.
        record: Where it is logged.
        tally: What lives.
    """
    assert at.cycle is not None
    record.log_sparsity(trainer, at.cycle.index, tally)
    validate(trainer)
    save_again(trainer)
