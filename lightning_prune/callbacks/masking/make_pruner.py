"""Make what decides the masks of a run: of single weights or of larger units, by the measure that was given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import lightning.pytorch as pl
from torch import Tensor, nn

from lightning_prune.allocation import Allocation
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.latency_in_fit import table_in_fit
from lightning_prune.callbacks.gathering.operations import flops_of_step
from lightning_prune.callbacks.gathering.structures_in_fit import find_structures, of_parameters
from lightning_prune.callbacks.gathering.training_steps import refuse_without_steps
from lightning_prune.callbacks.masking.pattern_pruner import PatternPruner
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.masking.unit_pruner import Division, UnitPruner
from lightning_prune.criteria import Criterion
from lightning_prune.criteria.in_sequence import in_blocks
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.latency_table import Timed
from lightning_prune.granularity.n_of_m import NofM
from lightning_prune.granularity.quantities import Linear, Measure, Quantity, Removed
from lightning_prune.selection.filter_layout import transposed_groups
from lightning_prune.selection.input_layout import dimension_of_inputs
from lightning_prune.selection.parameters import owned_parameters, plain_name
from lightning_prune.structures.groups import FoundStructures, Group


@dataclass(frozen=True)
class Method:
    """How a network is pruned: the arguments of ``IterativePruning`` that say so.

    Args:
        criterion: How much each weight matters.
        allocation: How many units each group keeps.
        granularity: The units in which weights live and die.
        measure: What a sparsity is a fraction of.
        seed: What a random criterion draws.
    """

    criterion: Criterion
    allocation: Allocation
    granularity: Granularity
    measure: Quantity
    seed: int


def make_pruner(
    method: Method,
    module: nn.Module,
    weights: Mapping[str, Tensor],
    found: FoundStructures | None = None,
    saved: Mapping[str, Any] | None = None,
) -> Pruner:
    """Make what decides the masks of a run.

    Args:
        method: How it prunes.
        module: The LightningModule, in a fit. Without a fit any network, measured by its weights.
        weights: The prunable weights by name.
        found: The structures of the network, if they are known. None: they are found in the fit where they are needed.
        saved: What the measure of the run has saved that is resumed. See ``Measure.state``.

    Raises:
        ValueError: If the network cannot be divided, or its operations cannot be counted.
    """
    transposed = transposed_groups(module)
    given = (weights, method.criterion, method.allocation, method.seed, transposed)
    if isinstance(method.granularity, NofM):
        return PatternPruner(*given, method.granularity, _dimensions_of_inputs(module, weights))
    groups: Mapping[str, Group] = {}
    if method.granularity.needs_groups and found is None:
        known = find_structures(cast("pl.LightningModule", module), weights)
        groups, found = known.groups, of_parameters(module, known)
    units = method.granularity(weights, transposed, found)
    if units is None:
        return Pruner(*given, _measure_of_weights(method.measure, module, weights))
    _refuse_blocks(method)
    sizes = {name: shape.numel() for name, shape in units.shapes.items()}
    measure = _measure_of_units(method.measure, module, weights, sizes, found, groups, saved or {})
    parameters = {plain_name(name): parameter for name, parameter in module.named_parameters()}
    covered = {name: parameters[name] for name in units.covered}
    scored = {name: weights[name] for names in units.weights.values() for name in names}
    return UnitPruner(scored, *given[1:], Division(units, covered, method.granularity.reduce), measure)


def _dimensions_of_inputs(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The dimension of the inputs of each weight that has one, by name."""
    inputs = {one.name: dimension_of_inputs(one) for one in owned_parameters(module) if one.name in weights}
    return {name: one for name, one in inputs.items() if isinstance(one, int)}


def _refuse_blocks(method: Method) -> None:
    if in_blocks(method.criterion, 1) is not None:
        raise UserError(
            f"IterativePruning(criterion={method.criterion!r}) prunes single weights block by block, and granularity="
            f"{method.granularity!r} larger units: leave granularity or InSequence out."
        )


def _measure_of_weights(quantity: Quantity, module: nn.Module, weights: Mapping[str, Tensor]) -> Measure | None:
    """What is counted of single weights. None for the weights themselves."""
    if quantity != "flops":
        return None
    sizes = {name: weight.numel() for name, weight in weights.items()}
    return _operations(cast("pl.LightningModule", module), weights, sizes)


def _measure_of_units(
    quantity: Quantity,
    module: nn.Module,
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    found: FoundStructures | None,
    groups: Mapping[str, Group],
    saved: Mapping[str, Any],
) -> Measure | None:
    """What is timed or counted of units. None for units of weights, which all count alike."""
    module_of_fit = cast("pl.LightningModule", module)
    latency = Latency() if quantity == "latency" else quantity
    if not isinstance(latency, Latency):
        return _counted(latency, module_of_fit, weights, sizes, found)
    timed = {name: groups[name] for name in sizes}
    table = table_in_fit(module_of_fit, timed, latency, saved.get("latency"))
    return Timed(table, tuple(sizes), timed)


def _counted(
    quantity: str,
    module: "pl.LightningModule",
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, int],
    found: FoundStructures | None,
) -> Measure | None:
    """What is counted, and not timed. None for units of weights, which all count alike."""
    if found is not None:
        removed = Removed(found.costs, sizes, quantity == "flops")
        return Linear(dict.fromkeys(sizes, 1.0), sizes) if quantity == "units" else removed
    if quantity == "weights":
        return Linear({name: weights[name].numel() / sizes[name] for name in sizes}, sizes, of_weights=True)
    return _operations(module, weights, sizes) if quantity == "flops" else None


def _operations(module: "pl.LightningModule", weights: Mapping[str, Tensor], units: Mapping[str, int]) -> Linear:
    """The operations of a training step, with those of each layer shared out among its weights."""
    refuse_without_steps(module.trainer, "IterativePruning(measure='flops')")
    flops = flops_of_step(module.trainer)
    shares = flops.of_entries(weights)
    amounts = {name: share * weights[name].numel() for name, share in shares.items()}
    if not sum(amounts.values()) > 0:
        raise UserError(
            "IterativePruning(measure='flops') counts no operations with the prunable weights in a training step: it "
            "has no matrix products or convolutions that torch counts. Give measure='weights'."
        )
    found = Linear(
        {name: amount / units[name] for name, amount in amounts.items()},
        units,
        flops.total - sum(amounts.values()),
        of_all=True,
    )
    # Batches differ, and with sequences so may what is counted: all processes have to decide alike.
    return module.trainer.strategy.broadcast(found)
