"""Remove the same units on all processes of a fit: the first one looks and compares, and the others follow."""

from collections.abc import Callable, Mapping

import lightning.pytorch as pl

from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.removal import Shrunk
from lightning_prune.shrinking.shrink_record import ShrinkRecord
from lightning_prune.shrinking.slices import Cut
from lightning_prune.shrinking.whole_states import keep_record


def shrink_on_all(trainer: "pl.Trainer", remove: Callable[[], Shrunk], asker: str) -> Shrunk:
    """Make the module of a fit small on all processes. All of them have to call it.

    Args:
        trainer: The trainer.
        remove: Makes the module small. It is called on the first process.
        asker: The callback as it is written, for errors.

    Returns:
        The small network of this process.

    Raises:
        ValueError: If it failed on the first process.
    """
    if trainer.world_size == 1:
        return remove()
    module, shrunk, failure = trainer.lightning_module, None, ""
    if trainer.is_global_zero:
        try:
            shrunk = remove()
        except Exception as error:  # the other processes wait
            failure = f"{type(error).__name__}: {error}"
    ours = None if shrunk is None else (shrunk.record, shrunk.error, shrunk.parameters, shrunk.cuts)
    theirs: tuple[ShrinkRecord, float, tuple[int, int], Mapping[str, Cut]] | None
    failure, theirs = trainer.strategy.broadcast((failure, ours))
    if theirs is None:
        raise UserError(f"{asker} failed on the first process: {failure}")
    if shrunk is None:
        record, difference, parameters, cuts = theirs
        record.apply_(module, asker)
        keep_record(module, record)
        shrunk = Shrunk(module, record, difference, parameters, cuts)
    return shrunk
