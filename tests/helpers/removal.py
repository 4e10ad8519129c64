"""A small shrinker for tests, which knows nothing of the package's: mask units on all sides, or slice them away."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_prune.structures.groups import FoundStructures

Alive = dict[str, Tensor]


def random_alive(found: FoundStructures, fraction: float = 0.4, seed: int = 0, removable: bool = True) -> Alive:
    """Let a fraction of every group's units die, and at least one live."""
    generator, alive = torch.Generator().manual_seed(seed), {}
    for name, group in found.groups.items():
        if removable and not group.removable:
            continue
        dead = min(max(int(group.width * fraction), 1), group.width - 1)
        alive[name] = torch.ones(group.width, dtype=torch.bool)
        alive[name][torch.randperm(group.width, generator=generator)[:dead]] = False
    return alive


def living(found: FoundStructures, alive: Alive) -> dict[tuple[str, int], Tensor]:
    """Which indices of each dimension are left."""
    left: dict[tuple[str, int], Tensor] = {}
    for name, units in alive.items():
        for one in found.groups[name].slices:
            here = units[one.units] | (one.units < 0)
            place = one.tensor, one.dim
            left[place] = left[place] & here if place in left else here
    return left


def mask(module: nn.Module, found: FoundStructures, alive: Alive) -> nn.Module:
    """A copy in which dead units are zero in everything but statistics."""
    copied = copy.deepcopy(module)
    tensors, statistics = (
        _tensors(copied),
        {one.tensor for group in found.groups.values() for one in group.slices if one.role == "statistic"},
    )
    with torch.no_grad():
        for (name, dim), keep in living(found, alive).items():
            if name not in statistics:
                shape = [-1 if d == dim else 1 for d in range(tensors[name].dim())]
                tensors[name].mul_(keep.to(tensors[name].dtype).view(shape))
    return copied


def shrink(
    module: nn.Module, found: FoundStructures, alive: Alive, resize: Callable[[nn.Module], None] | None = None
) -> nn.Module:
    """A copy without dead units."""
    small, by_tensor = copy.deepcopy(module), {}
    for (name, dim), keep in living(found, alive).items():
        by_tensor.setdefault(name, {})[dim] = keep.nonzero().flatten()
    tensors = _tensors(small)
    for name, dims in by_tensor.items():
        for dim, indices in dims.items():
            tensors[name] = tensors[name].detach().index_select(dim, indices)
        _put(small, name, tensors[name])
    for name, units in alive.items():
        for one in found.groups[name].counted:
            owner = small.get_submodule(one.module)
            dead = int((~(units[one.units] | (one.units < 0))).sum())
            setattr(owner, one.attribute, getattr(owner, one.attribute) - dead)
    for one in small.modules():
        _set_sizes(one)
    if resize is not None:
        resize(small)
    return small


def difference(small: nn.Module, masked: nn.Module, inputs: Any, training: bool) -> float:
    """The largest difference of outputs, relative to the largest output."""
    outputs = []
    for one in (small, masked):
        one.train(training)
        for module in one.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd) or type(module).__name__ in (
                "StochasticDepth",
                "DropPath",
            ):
                module.eval()
            for drop in ("dropout", "drop_rate", "attention_dropout", "dropout_prob"):
                if isinstance(getattr(module, drop, None), float):
                    setattr(module, drop, 0.0)
        with torch.no_grad():
            outputs.append(run(one, inputs))
    pairs = list(zip(*outputs, strict=True))
    assert pairs
    return max(float((a - b).abs().max() / (b.abs().max() + 1e-30)) for a, b in pairs)


def run(module: nn.Module, inputs: Any) -> list[Tensor]:
    given = inputs if isinstance(inputs, (tuple, list, Mapping)) else (inputs,)
    output = module(**given) if isinstance(given, Mapping) else module(*given)
    return [one for one in tree_leaves(output) if isinstance(one, Tensor) and one.is_floating_point()]


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Let nothing be zero or one that a trained network has otherwise, in float64."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith(("running_var",)):
                tensor.copy_(noise + 0.5)
            elif name.endswith("running_mean"):
                tensor.copy_(noise - 0.5)
            elif isinstance(tensor, nn.Parameter) and (tensor.dim() < 2 or float(tensor.std(correction=0)) == 0):
                tensor.copy_(tensor + noise - 0.4)
    return module


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict([*module.named_parameters(), *module.named_buffers()])


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    old = _tensors(module)[name]
    new = nn.Parameter(tensor, old.requires_grad) if isinstance(old, nn.Parameter) else tensor
    for holder in module.modules():  # a tensor may have several holders
        for store in (holder._parameters, holder._buffers):
            for leaf, value in store.items():
                if value is old:
                    store[leaf] = new


def _set_sizes(one: nn.Module) -> None:
    weight = getattr(one, "weight", None)
    if isinstance(one, nn.modules.conv._ConvNd):
        rows, columns = weight.shape[:2]
        one.in_channels, one.out_channels = (
            (rows, columns * one.groups) if one.transposed else (columns * one.groups, rows)
        )
    elif isinstance(one, nn.Linear):
        one.out_features, one.in_features = weight.shape
    elif isinstance(one, nn.modules.batchnorm._NormBase):
        known = one.running_mean if one.running_mean is not None else weight
        one.num_features = known.numel() if known is not None else one.num_features
    elif isinstance(one, nn.GroupNorm) and weight is not None:
        one.num_channels = weight.numel()
    elif isinstance(one, nn.LayerNorm) and weight is not None:
        one.normalized_shape = tuple(weight.shape)
    elif isinstance(one, nn.Embedding):
        one.embedding_dim = weight.shape[1]
    elif isinstance(one, nn.RNNBase):
        one.input_size, one.hidden_size = one.weight_ih_l0.shape[1], one.weight_hh_l0.shape[0] // _GATES[one.mode]
        if one.proj_size:
            one.proj_size = one.weight_hr_l0.shape[0]
        one._flat_weights = [getattr(one, name) for name in one._flat_weights_names]
    elif isinstance(one, nn.RNNCellBase):
        one.input_size = one.weight_ih.shape[1]
        one.hidden_size = one.weight_hh.shape[1]


_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
