"""Find the structures of a module in a fit: on its example, or on a batch of its training data."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.callbacks.gathering.training_batches import draw
from lightning_prune.callbacks.gathering.training_steps import reason_against
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.structures.find import structures_of
from lightning_prune.structures.groups import FoundStructures


def find_structures(module: "pl.LightningModule", weights: Mapping[str, Tensor]) -> FoundStructures:
    """Find the structures of a module: on ``example_input_array`` where it has one, or on a batch of training data.

    Args:
        module: The module, in a fit with its data loaded.
        weights: Its prunable weights by name.

    Returns:
        The structures, with their slices in buffers.

    Raises:
        ValueError: If weights are sharded, or the module does not run on its example or on a batch.
    """
    owner = "IterativePruning(granularity=Structures())"
    if any(map(is_sharded, weights.values())):
        raise UserError(
            f"{owner} needs whole weights, and these are sharded: train with DDP, or give granularity=Filters()."
        )
    if module.example_input_array is not None:
        return structures_of(module)
    if (reason := reason_against(module, ())) is not None:
        raise UserError(
            f"{owner} cannot run a training step: {reason}. Or set example_input_array in the module, to find the "
            "structures by its forward."
        )
    with without_trace(module.trainer, seed=0):
        return structures_of(module, batch_in_fit(module))


def example_of(module: "pl.LightningModule") -> Any:
    """A batch of training data to run a module on. All processes have to call it.

    Args:
        module: The module, in a fit with its data loaded.

    Returns:
        The batch. It is the same whenever the fit is asked for it. None if the module has an ``example_input_array``.
    """
    if module.example_input_array is not None:
        return None
    with without_trace(module.trainer, seed=0):
        return batch_in_fit(module)


def batch_in_fit(module: "pl.LightningModule") -> Any:
    """Draw a batch of training data, as ``training_step`` gets it.

    Args:
        module: The module, in a fit with its data loaded, inside of :func:`without_trace`.
    """
    trainer = module.trainer
    batch = trainer.precision_plugin.convert_input(draw(trainer, 1, seed=0)[0])
    batch = module._on_before_batch_transfer(batch)
    return module._apply_batch_transfer_handler(batch, device=trainer.strategy.root_device)


def of_parameters(module: nn.Module, found: FoundStructures) -> FoundStructures:
    """Leave buffers out of the slices of structures, since only parameters are masked.

    Args:
        module: The network.
        found: Its structures.
    """
    names = {plain_name(name) for name, _ in module.named_parameters()}
    groups = {
        name: replace(group, slices=tuple(one for one in group.slices if one.tensor in names))
        for name, group in found.groups.items()
    }
    return replace(found, groups=groups)
