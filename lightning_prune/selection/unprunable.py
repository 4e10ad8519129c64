"""Reasons why a weight cannot be pruned: it is computed from other tensors, or its storage does not allow masks."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lightning_prune.selection.sharding import is_sharded

_HOOKS = {  # hooks that compute a weight before every forward pass, with the functions that apply and remove them
    WeightNorm: ("weight_norm", "remove_weight_norm"),
    SpectralNorm: ("spectral_norm", "remove_spectral_norm"),
    BasePruningMethod: ("prune", "prune.remove"),
}


def reason_of_parametrization(owner: nn.Module, leaf: str) -> str | None:
    """The reason why a tensor is not pruned if a layer computes its weight from the tensor.

    Args:
        owner: The layer, or the list of parametrizations of one of its weights.
        leaf: The name of the tensor in the owner.

    Returns:
        The reason, with the name of the parametrization and the function that removes it. None for any other tensor.

    Example:
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
        >>> reason_of_parametrization(layer.parametrizations.weight, "original0")
        'under a parametrization (WeightNorm); torch.nn.utils.parametrize.remove_parametrizations makes it plain'
    """
    if isinstance(owner, ParametrizationList):
        kinds = ", ".join(type(one).__name__.lstrip("_") for one in owner)
        return f"under a parametrization ({kinds}); torch.nn.utils.parametrize.remove_parametrizations makes it plain"
    for hook in owner._forward_pre_hooks.values():
        for kind, (name, remedy) in _HOOKS.items():
            computed = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(hook, kind) and leaf in (f"{computed}_g", f"{computed}_v", f"{computed}_orig"):
                return f"under torch.nn.utils.{name}; torch.nn.utils.{remedy} makes it plain"
    return None


def reason_of_storage(parameter: nn.Parameter) -> str | None:
    """The reason why the storage of a tensor does not allow a mask.

    Args:
        parameter: The tensor.

    Returns:
        The reason. None if the storage allows a mask.

    Example:
        >>> reason_of_storage(nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False))
        'stored as torch.int8, in which nothing is trained'
    """
    if parameter.layout is not torch.strided:
        return f"stored as {parameter.layout}; to_dense() makes it prunable"
    if type(parameter.data) is not Tensor and not is_sharded(parameter):
        return f"stored as a {type(parameter.data).__name__}, which is not a plain tensor"
    if parameter.dtype.itemsize < 2 or not (parameter.is_floating_point() or parameter.is_complex()):
        return f"stored as {parameter.dtype}, in which nothing is trained"
    return None if parameter.numel() else "empty"
