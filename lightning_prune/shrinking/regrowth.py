"""Give a small network its whole sizes again, with zeros in all that was removed, and make it small once more."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.shrinking.attributes import attributes_of, set_attributes_
from lightning_prune.shrinking.shrink_record import ShrinkRecord, forget, held_by
from lightning_prune.shrinking.slices import Cut, tensors_of
from lightning_prune.shrinking.whole_states import keep_record

_SIZES = "_sizes_of_the_whole_network"  # the attribute of a small network that says how it becomes whole again


@dataclass(frozen=True)
class Sizes:
    """How a small network becomes whole again.

    Args:
        record: What was removed from the whole network.
        attributes: The values in the whole network of the attributes that the record has changed.
        first: The record that the whole network had itself, because it was a small one of an earlier fit.
    """

    record: ShrinkRecord
    attributes: Mapping[str, Mapping[str, Any]]
    first: ShrinkRecord | None = None


def sizes_of(module: nn.Module) -> Sizes | None:
    """How a network becomes whole again. None if it is whole, or does not know."""
    return module.__dict__.get(_SIZES)


def note_sizes(module: nn.Module, sizes: Sizes | None) -> None:
    """Note how a network becomes whole again. None: it is whole."""
    module.__dict__.pop(_SIZES, None)
    if sizes is not None:
        module.__dict__[_SIZES] = sizes


def make_small_(module: nn.Module, record: ShrinkRecord, asker: str) -> None:
    """Make a whole network small as a record says, so that it can become whole again.

    Args:
        module: The whole network.
        record: What is removed.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If it is another network. After this error it has not changed.
    """
    before, first = attributes_of(module), held_by(module)
    record.apply_(module, asker)
    settle_small(module, record, before, first)


def settle_small(
    module: nn.Module, record: ShrinkRecord, before: Mapping[str, Mapping[str, Any]], first: ShrinkRecord | None
) -> None:
    """Keep with a small network what was removed from it, and how it becomes whole again.

    Args:
        module: The small network.
        record: What was removed from the whole network.
        before: The attributes that the whole network had.
        first: The record that the whole network had itself.
    """
    kept = {
        name: {one: before[name][one] for one in values if one in before.get(name, {})}
        for name, values in record.attributes.items()
    }
    keep_record(module, record if first is None else record.after(first))
    note_sizes(module, Sizes(record, kept, first))


def grow_(module: nn.Module) -> Callable[[], None]:
    """Make a small network whole, in place. Its parameters stay the same objects. A whole network stays as it is.

    Parameters and gradients are zero in what was removed. Buffers are one there if they are floating-point numbers, as
    the running variances of new norms are.

    Args:
        module: The network.

    Returns:
        A function that undoes it: the network then holds the small tensors from before.

    Example:
        >>> layer = nn.Linear(2, 3, bias=False)
        >>> rows = ShrinkRecord({"weight": (3, 2)}, {"weight": {0: torch.tensor([0, 2])}}, {"": {"out_features": 2}})
        >>> make_small_(layer, rows, "example")
        >>> layer.out_features, tuple(layer.weight.shape)
        (2, (2, 2))
        >>> _ = grow_(layer)
        >>> layer.out_features, layer.weight[1].tolist()
        (3, [0.0, 0.0])
    """
    sizes = sizes_of(module)
    if sizes is None:
        return _nothing
    small = attributes_of(module)
    held = held_by(module)
    shrink_tensors = _grow_tensors_(module, sizes.record)
    set_attributes_(module, sizes.attributes)
    note_sizes(module, None)
    forget(module)
    if sizes.first is not None:
        keep_record(module, sizes.first)

    def undo() -> None:
        shrink_tensors()
        set_attributes_(module, {name: {a: small[name][a] for a in one} for name, one in sizes.attributes.items()})
        forget(module)
        if held is not None:
            keep_record(module, held)
        note_sizes(module, sizes)

    return undo


@contextmanager
def briefly_whole(module: nn.Module) -> Iterator[None]:
    """Let a small network be whole inside this context. Afterwards it holds what it held before.

    Args:
        module: The network. If it is whole, or does not know how it becomes whole, nothing happens.
    """
    undo = grow_(module)
    try:
        yield
    finally:
        undo()


def grown(small: Tensor, shape: tuple[int, ...], by: Cut, fill: float = 0.0) -> Tensor:
    """Undo a cut of a tensor.

    Args:
        small: What is left of the tensor.
        shape: The whole shape.
        by: The indices that were left, by dimension.
        fill: What stands in all that was cut away.

    Returns:
        A new tensor with the same memory format.

    Example:
        >>> grown(torch.tensor([[5.0, 6.0]]), (2, 3), {0: torch.tensor([1]), 1: torch.tensor([0, 2])})
        tensor([[0., 0., 0.],
                [5., 0., 6.]])
    """
    whole = small.new_full(shape, fill)
    for format, dims in ((torch.channels_last, 4), (torch.channels_last_3d, 5)):
        if small.dim() == dims and not small.is_contiguous() and small.is_contiguous(memory_format=format):
            whole = whole.contiguous(memory_format=format)
    places = [by.get(dim, torch.arange(size)).to(small.device) for dim, size in enumerate(shape)]
    whole[tuple(one.view([-1 if dim == d else 1 for d in range(len(shape))]) for dim, one in enumerate(places))] = small
    return whole


def grow_optimizer_(optimizer: Optimizer, whole: Mapping[Tensor, tuple[torch.Size, Cut]]) -> None:
    """Grow the state of an optimizer, with zeros for all that was removed from its parameters.

    Args:
        optimizer: The optimizer, whose parameters are still small.
        whole: The whole shape of each parameter that is small, and the indices that are left.
    """
    for parameter in owned_by(optimizer):
        if parameter in whole and parameter in optimizer.state:
            shape, by = whole[parameter]
            state = optimizer.state[parameter]
            state.update({
                name: _grown_state(value, parameter.shape, shape, by)
                for name, value in state.items()
                if isinstance(value, Tensor) and value.dim() == len(shape)
            })  # fmt: skip


def _grown_state(value: Tensor, small: torch.Size, shape: torch.Size, by: Cut) -> Tensor:
    """Grow what is kept for each weight, or for each row or column, which has the size 1 in the other dimensions."""
    own = {dim: one for dim, one in by.items() if value.shape == small or value.shape[dim] == small[dim] != 1}
    sizes = tuple(shape[dim] if dim in own else size for dim, size in enumerate(value.shape))
    return grown(value.detach(), sizes, own)


def _grow_tensors_(module: nn.Module, record: ShrinkRecord) -> Callable[[], None]:
    tensors = tensors_of(module)
    parts = {id(tensors[name]): (tensors[name], record.shapes[name], by) for name, by in record.kept.items()}
    before = [(tensor, tensor.data, tensor.grad) for tensor, *_ in parts.values()]
    for tensor, shape, by in parts.values():
        grad, tensor.grad = tensor.grad, None
        fill = 0.0 if isinstance(tensor, nn.Parameter) or not tensor.is_floating_point() else 1.0
        tensor.data = grown(tensor.data, shape, by, fill)
        tensor.grad = None if grad is None or grad.is_sparse else grown(grad, shape, by)

    def undo() -> None:
        for tensor, data, grad in before:
            tensor.grad = None
            tensor.data = data
            tensor.grad = grad

    return undo


def _nothing() -> None:
    """There is nothing to undo."""
