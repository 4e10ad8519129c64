"""A mistake in a user's own callback."""

import lightning.pytorch as pl


class Breaking(pl.Callback):
    """Raises in an epoch.

    Args:
        epoch: Which.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise KeyError("a mistake of their own")
