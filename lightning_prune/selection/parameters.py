"""The parameters of a module, with the name of each and every layer that holds the parameter."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

_COMPILED = "_orig_mod."  # torch.compile adds this to the names of the modules that it wraps


@dataclass
class Owned:
    """A parameter, and every module that holds the parameter, with the name in the module."""

    name: str
    parameter: nn.Parameter
    owners: list[tuple[nn.Module, str]] = field(default_factory=list)


def plain_name(name: str) -> str:
    """The name of a parameter without the prefix that ``torch.compile`` adds.

    Example:
        >>> plain_name("network._orig_mod.0.weight")
        'network.0.weight'
    """
    return name.replace(_COMPILED, "")


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern stands for a parameter.

    Args:
        name: The name of the parameter.
        pattern: ``*`` and ``?`` are as in file names, and the name of a module stands for everything in it.

    Example:
        >>> matches("net.0.weight", "net.0"), matches("net.0.weight", "*.bias")
        (True, False)
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def owned_parameters(module: nn.Module) -> Iterator[Owned]:
    """List every parameter of a module once, even if it has several names or several layers hold it.

    Args:
        module: The module.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> [(one.name, len(one.owners)) for one in owned_parameters(nn.Sequential(layer, layer))]
        [('0.weight', 1), ('0.bias', 1)]
    """
    found: dict[object, Owned] = {}
    parametrizations: dict[str, nn.Module] = {}
    for prefix, holder in module.named_modules():
        if isinstance(holder, ParametrizationList):
            parametrizations[f"{prefix}."] = holder
        around = (one for start, one in parametrizations.items() if prefix.startswith(start))
        owner = next(around, holder)  # tensors of a parametrization belong to the parametrization
        for leaf, parameter in holder.named_parameters(recurse=False, remove_duplicate=False):
            name = plain_name(f"{prefix}.{leaf}" if prefix else leaf)
            found.setdefault(identity(parameter), Owned(name, parameter)).owners.append((owner, leaf))
    return iter(found.values())


def identity(parameter: Tensor) -> object:
    """A key that is equal for parameters that are the same object or share memory. Such parameters need one mask.

    Args:
        parameter: The parameter.

    Example:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> identity(weight) == identity(nn.Parameter(weight.data))
        True
    """
    if type(parameter) is not nn.Parameter or parameter.layout is not torch.strided or not parameter.data_ptr():
        return id(parameter)
    return parameter.data_ptr(), parameter.numel()
