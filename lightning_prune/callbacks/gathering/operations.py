"""Count the operations of a training step."""

import lightning.pytorch as pl
import torch

from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import as_in_training
from lightning_prune.callbacks.gathering.training_steps import training_steps
from lightning_prune.structures.flops import Flops, count_flops


def flops_of_step(trainer: "pl.Trainer") -> Flops:
    """Count the operations of one training step's forward pass, for layers that hold the module's own parameters.

    Args:
        trainer: The trainer, with its data loaded.

    Returns:
        The operations.
    """
    with without_trace(trainer, seed=0), torch.no_grad():
        for step in training_steps(trainer, as_in_training(trainer, 1, seed=0), seed=0):
            return count_flops(trainer.lightning_module, step)
    return Flops(0, {})
