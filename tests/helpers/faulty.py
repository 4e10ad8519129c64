"""What users get wrong, for the tests of what a study makes of it."""

import lightning.pytorch as pl
import torch
from torch import Tensor

from lightning_prune.criteria import Evidence


class Raising(pl.Callback):
    """Raises in the second cycle."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 3:
            raise KeyError("my own mistake")


class Shouting(pl.Callback):
    """Raises at once, with a text that looks like markup and steers the terminal."""

    def on_train_epoch_start(self, trainer, pl_module):
        raise RuntimeError("lost [/x] in \x1b[31m[red]")


def not_a_number(weight: Tensor, evidence: Evidence) -> Tensor:
    return torch.full_like(weight, float("nan"))
