"""At which moments a checkpoint holds all that a run needs to go on."""

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus


def refuse_moment(trainer: "pl.Trainer") -> None:
    """Refuse to save where a resumed run would leave out a batch or a validation.

    What is saved on an exception may be of any moment: there is no later one.

    Args:
        trainer: The trainer, when it saves.

    Raises:
        RuntimeError: If it is in the middle of a batch or of a validation.
    """
    if trainer.state.fn != TrainerFn.FITTING or trainer.state.status == TrainerStatus.INTERRUPTED:
        return
    epoch = trainer.fit_loop.epoch_loop
    batch = epoch.batch_progress.current
    if batch.ready != batch.processed:  # type: ignore[attr-defined]
        _refuse("within a batch, which a resumed run would leave out")
    if trainer.validating and not _is_validated(trainer):
        _refuse("within a validation, which a resumed run would leave out")


def _is_validated(trainer: "pl.Trainer") -> bool:
    """Whether the validation is over and its metrics are logged, as in ``on_validation_end``."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    batch = loop.batch_progress
    return batch.is_last_batch and batch.current.ready == batch.current.completed and not loop._logged_outputs


def _refuse(where: str) -> None:
    raise RuntimeError(
        f"A checkpoint cannot be saved here: this is {where}. Save it in on_train_epoch_start, on_train_batch_end, "
        "on_validation_end or on_train_epoch_end, as ModelCheckpoint does, or in on_cycle_start where the cycle begins "
        "with an epoch. For the weights alone, trainer.save_checkpoint(..., weights_only=True) works anywhere."
    )
