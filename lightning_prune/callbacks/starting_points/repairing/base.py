"""The base class of callbacks that repair a pruned network at the start of a cycle, by the dense one's outputs."""

from abc import abstractmethod
from typing import Any

import lightning.pytorch as pl
import torch

from lightning_prune.basics.checks import check_at_least, check_at_least_one, check_whole
from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.gathering.source import OfFit
from lightning_prune.callbacks.gathering.training_steps import refuse_without_steps
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration
from lightning_prune.callbacks.starting_points.repairing.dense_copy import DenseCopy
from lightning_prune.callbacks.starting_points.repairing.repairable import layers_of
from lightning_prune.masks.multiply import multiply_
from lightning_prune.selection.parameters import plain_name


class Repair(StartingPoint):
    """Sets the weights at the start of every cycle, so that the layers give what the dense network's layers give.

    The dense network is the one before the first prune. The weights that the prune has left are the start of the
    repair, and the masks hold after it. Running statistics, optimizers and random state stay as they are.

    Args:
        batches: The number of training batches on each process, at least 1.
        seed: Decides which batches, at least 0.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    rewind_point = None

    def __init__(self, batches: int, seed: int) -> None:
        check_at_least_one(self, "batches", batches)
        check_whole(self, {"seed": seed})
        check_at_least(self, 0, {"seed": seed})
        self.batches = batches
        self.seed = seed
        self.forget()

    def forget(self) -> None:
        self._dense = DenseCopy()

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        name = type(self).__name__
        refuse_without_steps(trainer, name)
        if not layers_of(pl_module, self.clock.covered):
            raise UserError(
                f"{name} finds nothing to repair: no linear layer or convolution of {type(pl_module).__name__} is "
                "prunable. Leave it out."
            )

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.clock.cycle is None and not self._dense.tensors:
            self._dense.take(pl_module)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        weights = {plain_name(name): one for name, one in pl_module.named_parameters()}
        masks = self.clock.masks
        multiply_((weights[name], mask) for name, mask in masks.items())
        layers = layers_of(pl_module, self.clock.covered)
        source = OfFit(trainer)
        seed = seed_of(self.seed, cycle.index)
        with source.without_trace(seed):
            calibration = Calibration(source, layers, self._dense, masks, self.batches, seed)
            self.repair_(calibration)
            found = {name: weights[name].detach().clone() for name in calibration.changed}
        found = trainer.strategy.broadcast(found) if trainer.world_size > 1 else found
        with torch.no_grad():
            for name, values in found.items():
                weights[name].copy_(values.to(weights[name].device))
        multiply_((weights[name], mask) for name, mask in masks.items() if name in found)

    @abstractmethod
    def repair_(self, calibration: Calibration) -> None:
        """Set the weights of the layers in place.

        Args:
            calibration: The layers, the dense network and the batches.
        """

    def state_dict(self) -> dict[str, Any]:
        return self._dense.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._dense.load_state_dict(state_dict)
