"""Putting back what a module holds: everything below it that code may change in place, as it was."""

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_LISTS = (list, deque)
_CONTAINERS = (*_LISTS, set, dict, OrderedDict, defaultdict, Counter)  # exactly: who knows what others do when refilled
_CONSTANT = frozenset((int, float, complex, bool, str, bytes, type(None)))  # nothing in them can change
_WITH_STATE = (np.ndarray, torch.Generator, np.random.RandomState, np.random.Generator, random.Random)
_VALUES = (int, float, complex, str, bytes, type(None), tuple, Tensor, np.ndarray, *_CONTAINERS)

Undo = Callable[[], Any]


@contextmanager
def attributes_kept(module: nn.Module, tensors: bool = True) -> Iterator[None]:
    """Put back the attributes of a module and of all below it: which objects they are, and what is in them.

    That is parameters and their gradients, buffers, the states of metrics, plain tensors and arrays, random generators,
    containers in containers, and objects that hold nothing but such values (a meter, say). Other objects are left
    alone: who knows what a logger or a thread does with them meanwhile.

    Args:
        module: The module.
        tensors: Whether to put back the numbers in tensors, too. It takes a copy of each.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> with attributes_kept(norm):
        ...     _ = norm(torch.rand(4, 2))
        ...     norm.calls = 1
        >>> norm.num_batches_tracked, hasattr(norm, "calls")
        (tensor(0), False)
    """
    seen: dict[int, Any] = {}
    undo = _undoing(module, seen, tensors)
    try:
        yield
    finally:
        with torch.no_grad():
            for put_back in undo:
                put_back()


def _undoing(value: Any, seen: dict[int, Any], tensors: bool) -> list[Undo]:
    """Give the calls that put a value and its contents back. ``seen`` keeps visited objects alive for their ids."""
    found, waiting = list[Undo](), [value]
    while waiting:  # a recursion would take several times as long for large networks
        one = waiting.pop()
        if type(one) in _CONSTANT or id(one) in seen:
            continue
        seen[id(one)] = one
        if type(one) in _CONTAINERS and not one:  # most are: the dictionaries of a module's hooks
            found.append(one.clear)
            continue
        found += _undoing_its_own(one, tensors)
        waiting += reversed([*_parts(one)])
    return found


def _undoing_its_own(value: Any, tensors: bool) -> Iterator[Undo]:
    if type(value) in _CONTAINERS:
        yield partial(_refill, value, value.copy())
    elif isinstance(value, Tensor):
        yield from _undoing_tensor(value, tensors)
    elif _has_state(type(value)):  # type: ignore[arg-type]
        yield from _undoing_state(value)


@cache
def _has_state(cls: type) -> bool:
    return issubclass(cls, _WITH_STATE)  # by class: torch.Generator is slow to say what is none of its instances


def _undoing_state(value: Any) -> Iterator[Undo]:
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            yield partial(np.copyto, value, value.copy())
    elif isinstance(value, torch.Generator):
        yield partial(value.set_state, value.get_state())
    elif isinstance(value, np.random.RandomState):
        yield partial(value.set_state, value.get_state(legacy=False))
    elif isinstance(value, np.random.Generator):
        yield partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    else:
        yield partial(value.setstate, value.getstate())


def _undoing_tensor(tensor: Tensor, numbers: bool) -> Iterator[Undo]:
    if tensor.is_leaf:
        yield partial(setattr, tensor, "grad", tensor.grad)
    if numbers and not (
        is_lazy(tensor) or tensor.is_inference() or _is_expanded(tensor)
    ):  # those cannot be written to, by anyone
        yield partial(_rewrite, tensor, tensor.detach().clone())


def _rewrite(tensor: Tensor, copy: Tensor) -> None:
    if not torch.equal(tensor, copy):  # else a graph that holds it would find it changed
        tensor.detach().copy_(copy)


def _is_expanded(tensor: Tensor) -> bool:
    """Whether a tensor has one number in several places."""
    steps = zip(tensor.shape, tensor.stride(), strict=True) if tensor.layout is torch.strided else ()
    return any(size > 1 and step == 0 for size, step in steps)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and type(value) in _CONTAINERS:
        yield from value.values()
    elif type(value) in _CONTAINERS or isinstance(value, tuple):
        yield from value
    elif isinstance(value, nn.Module) or _is_data(value):
        yield vars(value)


def _is_data(value: Any) -> bool:
    """Whether an object holds nothing but values."""
    held = getattr(value, "__dict__", None)
    return type(held) is dict and all(isinstance(one, _VALUES) for one in held.values())


def _refill(container: Any, copy: Any) -> None:
    container.clear()
    container.extend(copy) if isinstance(container, _LISTS) else container.update(copy)
