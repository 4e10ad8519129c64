"""Remove dead units by hand: slice parameters, buffers and the state of an optimizer, and nothing else."""

import copy
from collections import defaultdict

import torch
from torch import Tensor, nn

from lightning_prune.structures.groups import FoundStructures


def kept_indices(found: FoundStructures, alive: dict[str, Tensor]) -> dict[str, dict[int, Tensor]]:
    """The indices that are left, by tensor and dimension."""
    keep: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for name, living in alive.items():
        for one in found.groups[name].slices:
            stays = (one.units < 0) | living.bool().cpu()[one.units.clamp(min=0)]
            before = keep[one.tensor].get(one.dim)
            keep[one.tensor][one.dim] = stays if before is None else before & stays
    return {name: {dim: stays.nonzero().squeeze(1) for dim, stays in dims.items()} for name, dims in keep.items()}


def sliced(tensor: Tensor, dims: dict[int, Tensor]) -> Tensor:
    for dim, indices in dims.items():
        tensor = tensor.index_select(dim, indices)
    return tensor.detach().clone()


def removed(module: nn.Module, found: FoundStructures, alive: dict[str, Tensor]) -> nn.Module:
    """A copy without the dead units."""
    small, keep = copy.deepcopy(module), kept_indices(found, alive)
    for path, dims in keep.items():
        owner, _, leaf = path.rpartition(".")
        holder = small.get_submodule(owner)
        if leaf in holder._parameters:
            setattr(holder, leaf, nn.Parameter(sliced(getattr(holder, leaf), dims)))
        else:
            setattr(holder, leaf, sliced(getattr(holder, leaf), dims))
    for name, living in alive.items():
        for one in found.groups[name].counted:
            left = (one.units < 0) | living.bool().cpu()[one.units.clamp(min=0)]
            setattr(small.get_submodule(one.module), one.attribute, int(left.sum()))
    return small


def moved_state(optimizer: torch.optim.Optimizer, module: nn.Module, small: nn.Module, keep: dict) -> dict:
    """The state of an optimizer for the small network: moments are sliced, counters stay."""
    names = {id(p): name for name, p in module.named_parameters()}
    mine = dict(small.named_parameters())
    return {
        mine[names[id(p)]]: {
            key: sliced(value, keep.get(names[id(p)], {}))
            if isinstance(value, Tensor) and value.shape == p.shape
            else copy.deepcopy(value)
            for key, value in state.items()
        }
        for p, state in optimizer.state.items()
    }
