"""Pruners of units without a fit, with made-up evidence."""

import torch
from laws import evidence_for, network
from members import classes, values_of
from structured import structured
from torch import nn

from lightning_prune import globally, granularity, structures_of
from lightning_prune.callbacks.masking.unit_pruner import Division, UnitPruner
from lightning_prune.criteria import magnitude
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.quantities import Linear, Removed

VALUES = [value for cls in classes(granularity, Granularity) for value in values_of(cls)]
GRANULARITIES = [value for value in VALUES if not value.of_weights]


class Offline(UnitPruner):
    """Units with made-up evidence, in the place of what a fit gathers."""

    def _gather(self, trainer, cycle, sparsity, rehearsal):
        self.gatherer.for_weight = lambda cycle, name, part, device: evidence_for(self.weights[name].shape, cycle)


def weights_of(kind="normal"):
    weights = network(kind, wide=(60, 50))
    return {"conv": weights["conv"], "wide": weights["wide"], "output": weights["output"][:, :40].contiguous()}


def a_network():
    module = structured()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return module.net


def pruner_of(value, criterion=magnitude, allocation=globally, weights=None, measure="units"):
    """A pruner of the weights, or for structures of a network."""
    if value.needs_groups:
        return pruner_of_structures(value, criterion, allocation, weights or a_network(), measure)
    weights = weights_of() if weights is None else weights
    units = value(weights, {})
    sizes = {name: shape.numel() for name, shape in units.shapes.items()}
    quantity = Linear({name: weights[name].numel() / sizes[name] for name in sizes}, sizes, of_weights=True)
    division = Division(units, weights, value.reduce)
    return Offline(weights, criterion, allocation, 0, {}, division, None if measure == "units" else quantity)


def pruner_of_structures(value, criterion, allocation, net: nn.Module, measure):
    found = structures_of(net, torch.zeros(1, 1, 6, 6))
    parameters = dict(net.named_parameters())
    weights = {name: one for name, one in parameters.items() if one.dim() > 1}
    units = value(weights, {}, found)
    sizes = {name: shape.numel() for name, shape in units.shapes.items()}
    quantity = Linear(dict.fromkeys(sizes, 1.0), sizes)
    if measure != "units":
        quantity = Removed(found.costs, sizes, measure == "flops")
    division = Division(units, {name: parameters[name] for name in units.covered}, value.reduce)
    scored = {name: weights[name] for names in units.weights.values() for name in names}
    return Offline(scored, criterion, allocation, 0, {}, division, quantity)
