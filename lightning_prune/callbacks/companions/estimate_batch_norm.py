"""Estimate the running statistics of BatchNorm again after a prune, for the weights that are left."""

from typing import Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_prune.basics.checks import check_numbers, check_whole
from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import as_in_training
from lightning_prune.callbacks.gathering.training_steps import refuse_without_steps, training_steps
from lightning_prune.masks.multiply import multiply_
from lightning_prune.selection.parameters import plain_name

Mode = Literal["average", "ema"]


class EstimateBatchNorm(CycleCallback):
    """Estimate the running mean and variance of BatchNorm again at the start of every cycle.

    The pruned network runs on training batches without gradients. It is in train mode, so dropout is active. The
    statistics become the plain average over the batches of all processes, or they go on from their old values. They
    belong to the weights that the cycle starts with: the masks are applied, and another callback has already rewound or
    drawn the weights. Nothing else changes: no weight, no metric, no logged value and no random state. The data loader
    keeps its place. Without this callback the statistics are kept, or rewound with the weights
    (``WeightRewind(batch_norm=...)``). Layers in eval mode keep their statistics.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843. The authors' code passes over the whole training set after every prune, and
    BatchNorm updates its statistics as in training. This is ``mode="ema"``.

    Args:
        batches: How many batches each process uses, at least 1. None: the whole training set, as in the authors' code.
        seed: The seed, at least 0, for the order of the batches, for augmentation and for dropout in these passes.
        mode: ``"average"`` forgets the old statistics and takes the plain average over the batches. ``"ema"`` updates
            the old statistics with each layer's own momentum, as in training. The last batches then count most. After
            few batches much of the old statistics is left: 0.9 to the power of the number of batches, with torch's
            momentum of 0.1. Several processes average their results.

    Raises:
        ValueError: If an argument is unknown or lies outside its range. When the fit starts, if the network has no
            running statistics, or if training steps cannot be tried out (manual optimization, streamed data, sharded
            weights).

    Example:
        >>> from lightning_prune import IterativePruning, WeightRewind
        >>> callbacks = [IterativePruning(cycles=10), WeightRewind(to="2ep"), EstimateBatchNorm(batches=100)]
    """

    def __init__(self, batches: int | None = None, seed: int = 0, mode: Mode = "average") -> None:
        if mode not in ("average", "ema"):
            raise UserError(f"EstimateBatchNorm(mode={mode!r}) is unknown: give 'average' or 'ema'.")
        check_numbers(self, {"batches": batches}, none=True)
        check_whole(self, {"seed": seed})
        if batches is not None and batches < 1:
            raise UserError(f"EstimateBatchNorm(batches={batches}) sees no data: give at least 1, or None for all.")
        if seed < 0:
            raise UserError(f"EstimateBatchNorm(seed={seed}) is no seed: give a whole number of at least 0.")
        self.batches = batches
        self.seed = seed
        self.mode: Mode = mode

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not any(isinstance(layer, _BatchNorm) and layer.track_running_stats for layer in pl_module.modules()):
            raise UserError(
                f"EstimateBatchNorm has nothing to estimate: {type(pl_module).__name__} has no BatchNorm layer with "
                "running statistics. Leave it out."
            )
        refuse_without_steps(trainer, "EstimateBatchNorm")

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        weights = {plain_name(name): weight for name, weight in pl_module.named_parameters()}
        multiply_((weights[name], mask) for name, mask in self.clock.masks.items())  # somebody may have set them since
        found = estimate_statistics(trainer, self.batches, seed_of(self.seed, cycle.index), self.mode)
        with torch.no_grad():
            for name, buffer in pl_module.named_buffers():
                if name in found:
                    buffer.copy_(found[name])


def estimate_statistics(
    trainer: "pl.Trainer", batches: int | None, seed: int, mode: Mode = "average"
) -> dict[str, Tensor]:
    """The statistics of all BatchNorm layers in train mode, from training batches.

    Args:
        trainer: The trainer, with its data loaded.
        batches: How many batches each process uses. None for all.
        seed: Decides what is drawn.
        mode: Whether they are the average over the batches, or go on from where they are.

    Returns:
        The buffers of these layers by their names in the LightningModule.
    """
    module = trainer.lightning_module
    with without_trace(trainer, seed), torch.no_grad():
        layers = {name: layer for name, layer in module.named_modules() if _is_estimated(layer)}
        for layer in layers.values() if mode == "average" else ():
            layer.reset_running_stats()
            layer.momentum = None  # torch's cumulative average
        for step in training_steps(trainer, as_in_training(trainer, batches, seed), seed):
            step()
        found = {f"{name}.{leaf}": one for name, layer in layers.items() for leaf, one in layer.named_buffers()}
        return {name: _mean(trainer, buffer) for name, buffer in found.items()}


def _is_estimated(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None


def _mean(trainer: "pl.Trainer", buffer: Tensor) -> Tensor:
    """Average over the processes. A count of batches is the same on all of them."""
    found = buffer.clone()  # the module's own gets its old values back
    if not buffer.is_floating_point() or trainer.world_size == 1:
        return found
    mean: Tensor = trainer.strategy.reduce(found, reduce_op="mean")
    return mean
