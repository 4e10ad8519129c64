"""Prune a network at once, by the same criteria and allocations as in a fit."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_prune import allocation as allocations
from lightning_prune import criteria
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.fixed_sparsity import refuse_choices
from lightning_prune.callbacks.fit.notices import say_what_does_not_fit
from lightning_prune.callbacks.fit.pruning_arguments import check_units
from lightning_prune.callbacks.fit.selected import refuse_other_filters
from lightning_prune.callbacks.masking.initial_masks import initial_masks as read_masks
from lightning_prune.callbacks.masking.initial_masks import refuse_missing
from lightning_prune.callbacks.masking.make_pruner import Method, make_pruner
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.callbacks.without_trainer.known_masks import known_masks, remember_masks, unwrapped
from lightning_prune.callbacks.without_trainer.network_masks import NetworkMasks
from lightning_prune.callbacks.without_trainer.own_loss import Loss, OwnLoss
from lightning_prune.callbacks.without_trainer.prune_arguments import (
    refuse_arguments,
    refuse_diverged,
    refuse_lower_sparsity,
    refuse_measures,
    said_of_prune,
)
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.divisible import divisible
from lightning_prune.granularity.n_of_m import NofM
from lightning_prune.granularity.quantities import Quantity
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.selection.coverage import told_of
from lightning_prune.selection.prunable import Prunable, Selected, Selection
from lightning_prune.selection.sharding import placed


def prune(
    module: nn.Module,
    sparsity: float,
    allocation: allocations.Allocation = allocations.globally,
    prunable: Selection | Callable[[nn.Module], Selected] = Prunable(),
    criterion: criteria.Criterion = criteria.magnitude,
    batches: Iterable[Any] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
    initial_masks: str | Path | None = None,
    granularity: Granularity = Weights(),
    measure: Quantity = "weights",
    blocks: str | list[str] | None = None,
) -> NetworkMasks:
    """Set the weights of a network that matter least to zero, in place, without a Trainer.

    Exactly ``round((1 - sparsity) * size)`` of the ``size`` prunable weights live afterwards. A second call for the
    same network goes on from the masks of the first: dead weights stay dead, and optimizers that were held stay held.
    To train the network on, hold its optimizer: ``masks.hold(optimizer)``.

    Args:
        module: The network: an ``nn.Module``, the ``LightningModule`` that holds it, or what ``Fabric.setup`` returned.
        sparsity: The fraction of the prunable weights that is to be dead, in [0, 1).
        allocation: How many weights each tensor keeps.
        prunable: Selects the weights that may be pruned.
        criterion: How much each weight matters. Criteria that look at weights of an earlier moment of a fit
            (``movement`` and its like) are refused.
        batches: Batches for criteria that take gradients, such as a data loader. The first ones are used, as many as
            the criterion asks for. For ``synflow`` a batch tells the shape of the input.
        loss: The loss for criteria that take gradients: a function of the network and a batch, on the network's device.
            The network is used in the mode in which it is, and is left as it was.
        seed: Decides, with the number of the call, what is drawn.
        initial_masks: The weights of a network that are dead before the first call. ``"zeros"``: the prunable weights
            that are zero. A path: the dead weights of the ticket in this file. None: those of an earlier call, or none.
        granularity: The units in which weights live and die: ``Weights()``, ``Filters()``, ``Blocks(...)``, ... For
            ``Structures()`` the network runs once: on its ``example_input_array``, or on the first of ``batches``. The
            masks then include biases and norms, and ``size`` counts them. ``NofM(2, 4)`` takes ``sparsity=0.5`` only.
        measure: What ``sparsity`` is a fraction of: ``"weights"``, ``"units"``, or ``"flops"`` with ``Structures()``.
        blocks: Prune block after block, with inputs from the blocks that are pruned already: the patterns of
            ``InSequence``, such as ``"model.layers.*"``. None: all at once, unless the criterion says otherwise.

    Returns:
        The masks, the same object at each call for the same network.

    Raises:
        ValueError: If an argument is out of range or does not fit the network. The network has not changed then.

    Example:
        >>> import torch
        >>> generator = torch.manual_seed(0)
        >>> network = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 2))
        >>> masks = prune(network, sparsity=0.8)
        >>> masks.alive, masks.size, int((network[0].weight != 0).sum() + (network[2].weight != 0).sum())
        (20, 100, 20)
        >>> prune(network, sparsity=0.82) is masks
        True
    """
    with said_of_prune():
        criterion = criterion if blocks is None else criteria.InSequence(criterion, blocks)
        refuse_arguments(sparsity, allocation=allocation, prunable=prunable, criterion=criterion)
        check_units(granularity, measure, None, criterion)
        refuse_measures(granularity, measure)
        module = unwrapped(module)
        method = Method(criterion, allocation, granularity, measure, seed)
        selected = _selected(module, prunable, sparsity, method)
        masks = known_masks(module)
        source = OwnLoss(module, batches, loss)
        found = source.structures() if granularity.needs_groups else None
        pruner = make_pruner(method, module, selected.weights, found)
        pruner.load(_before(masks, pruner.covered, initial_masks), exact=False)
        refuse_lower_sparsity(sparsity, pruner)
        before = dict(pruner.masks.living)
        pruner.shrink_(masks.prunes + 1, sparsity, source)
        pruner.warn_of_losses(f"prune(sparsity={sparsity})", before)
        if told := told_of(module, selected):
            rank_zero_warn(told.replace("IterativePruning", "prune"))
    masks.prunes += 1
    covered = pruner.covered
    bits = {name: mask.to(covered[name].device, torch.uint8) for name, mask in pruner.whole_masks().items()}
    masks.take_(covered, {name: placed(mask, covered[name]) for name, mask in bits.items()})
    remember_masks(module, masks)
    return masks


def _selected(
    module: nn.Module, prunable: Selection | Callable[[nn.Module], Selected], sparsity: float, method: Method
) -> Selected:
    """The weights that may be pruned, all finite and in whole units."""
    granularity = method.granularity
    selected = prunable(module)
    if not isinstance(selected, Selected):
        raise UserError(
            f"prune(prunable={describe(prunable)}) returned a {type(selected).__name__}: give "
            "lightning_prune.Prunable(include=[...], exclude=[...]), with names of layers."
        )
    refuse_choices(granularity, method.measure, method.allocation)
    if isinstance(granularity, NofM):
        granularity.number_at(sparsity)
    selected = divisible(granularity, module, selected)
    say_what_does_not_fit("prune", granularity, selected)
    refuse_other_filters(module, selected, method.criterion, method.allocation)
    refuse_diverged(selected.weights)
    return selected


def _before(masks: NetworkMasks, weights: Mapping[str, Tensor], given: str | Path | None) -> dict[str, Tensor]:
    """The packed masks from which a prune goes on."""
    if given is not None and len(masks):
        raise UserError(
            f"prune(initial_masks={str(given)!r}) is for the first call, and this network has masks already: leave it "
            "out, or load the masks with lightning_prune.load_masks(module, path)."
        )
    if given is not None:
        refuse_missing(given)
        return read_masks(given, weights)
    return {name: bits for name, bits in masks.packed().items() if name in weights}
