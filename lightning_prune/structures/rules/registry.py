"""The registry of the rules, by operation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lightning_prune.structures.trace import Trace

aten = torch.ops.aten


@dataclass
class Call:
    """An operation that was called.

    Args:
        operation: The overload, such as ``aten.cat.default``.
        given: All its arguments by name, with their defaults.
        result: What it returned.
    """

    operation: Any
    given: dict[str, Any]
    result: Any

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that not every overload has."""
        return self.given.get(name, default)

    @property
    def name(self) -> str:
        """The name of the operation without its overload."""
        return str(self.operation.overloadpacket)

    @cached_property
    def inputs(self) -> list[Tensor]:
        """All tensors among the arguments."""
        return tensors_in(self.given.values())

    @cached_property
    def outputs(self) -> list[Tensor]:
        """All tensors among the results."""
        return tensors_in([self.result])

    @property
    def source(self) -> Tensor:
        """The first tensor among the arguments."""
        return self.inputs[0]


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among the arguments or results of an operation, which are nested in lists at most.

    Example:
        >>> tensors_in([1, torch.ones(1), [torch.zeros(1), None]])
        [tensor([1.]), tensor([0.])]
    """
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found


Rule = Callable[[Trace, Call], None]
RULES: dict[Any, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations of aten. Names that this version of torch does not have are left out.

    Args:
        names: Their names, such as ``"cat"``.
    """

    def register(function: Rule) -> Rule:
        RULES.update({getattr(aten, name): function for name in names if hasattr(aten, name)})
        return function

    return register


def bind(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of an operation their names.

    Example:
        >>> bind(aten.cumsum.default, (torch.ones(2), 0), {})
        {'self': tensor([1., 1.]), 'dim': 0, 'dtype': None}
    """
    bound = {}
    for place, argument in enumerate(operation._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        bound[argument.name] = args[place] if place < len(args) else kwargs.get(argument.name, default)
    return bound


def dims_of(given: Any, rank: int) -> list[int]:
    """Dimensions as an operation takes them: an integer, a list, or None or an empty list for all.

    Example:
        >>> dims_of(-1, 3), dims_of([], 2)
        ([2], [0, 1])
    """
    if given is None or given == []:
        return list(range(rank))
    return [dim % max(rank, 1) for dim in ([given] if isinstance(given, int) else given)]


def again(call: Call, tensor: Tensor) -> Any:
    """Do the same operation to another tensor, such as labels."""
    return call.operation(**{**call.given, next(iter(call.given)): tensor})


def fixed(trace: Trace, call: Call) -> str:
    """The reason of an operation that knows places by their numbers."""
    return f"{call.name}{trace.here} takes it by its place"


def set_all(trace: Trace, call: Call, labels: Any) -> None:
    """Give each result of a call its labels."""
    parts = [labels] if isinstance(labels, Tensor) else labels
    for output, part in zip(call.outputs, parts, strict=True):
        trace.set(output, part)


def one_along(labels: Tensor, dims: Iterable[int]) -> Tensor:
    """Narrow dimensions along which labels do not change."""
    for dim in dims:
        labels = labels.narrow(dim, 0, 1)
    return labels
