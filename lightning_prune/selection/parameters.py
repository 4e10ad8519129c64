"""The parameters of a module: what each is called, and every layer that holds it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

_COMPILED = "_orig_mod."  # torch.compile puts it into the names of what it wraps


@dataclass
class Owned:
    """A parameter and every module that holds it under some name."""

    name: str
    parameter: nn.Parameter
    owners: list[tuple[nn.Module, str]] = field(default_factory=list)


def plain_name(name: str) -> str:
    """The name of a parameter without what ``torch.compile`` puts into it.

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
    """Every parameter of a module once, however many names and holders it has.

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
        owner = next(around, holder)  # what a parametrization is made of is its own
        for leaf, parameter in holder.named_parameters(recurse=False, remove_duplicate=False):
            name = plain_name(f"{prefix}.{leaf}" if prefix else leaf)
            found.setdefault(identity(parameter), Owned(name, parameter)).owners.append((owner, leaf))
    return iter(found.values())


def identity(parameter: Tensor) -> object:
    """Equal for two parameters that are one, or that lie in the same memory: two masks would kill more than is due.

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
