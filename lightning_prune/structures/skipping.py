"""Leave out what takes its time in a forward pass. Nobody needs the values: only shapes matter to the labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

aten = torch.ops.aten
LARGE = 1 << 16  # the product of the numbers of elements of both factors
MANY = 1 << 14  # so many elements take longer to compute than to leave out
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.convolution}
ADDING = {aten.addmm, aten.baddbmm}  # a first tensor to the product of the others
# What looks like the first argument. In eval mode a BatchNorm returns no statistics.
ACTIVATIONS = {aten.relu, aten.gelu, aten.silu, aten.hardtanh, aten.hardswish}
ACTIVATIONS_IN_PLACE = {aten.relu_, aten.silu_, aten.hardtanh_, aten.hardswish_}
LIKE_FIRST = ACTIVATIONS | ACTIVATIONS_IN_PLACE | {aten.native_batch_norm}
# Operations whose result is no tensor, or has a size that depends on values.
READS_VALUES = {
    getattr(aten, name)
    for name in (
        "_local_scalar_dense",
        "is_nonzero",
        "equal",
        "nonzero",
        "masked_select",
        "_unique2",
        "unique_dim",
        "bincount",
    )
    if hasattr(aten, name)
}


class NeedsValues(Exception):
    """Code reads the values of a tensor that were not computed."""


def stand_in(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any], knows: Callable[[Tensor], bool]) -> Any:
    """What takes the place of the result of an operation that would take its time.

    Args:
        operation: The overload.
        arguments: Its arguments.
        named: Its named arguments.
        knows: Whether a tensor depends on weights. Code may read the values of all others.

    Returns:
        Zeros of the shape, the layout, the type and the device that the result has. None: compute it, it is fast.
    """
    packet = operation.overloadpacket
    if packet in PRODUCTS:
        return _product(operation, arguments, named)
    if packet not in LIKE_FIRST or not _is_worth_it(first := arguments[0]) or not knows(first):
        return None
    if packet in ACTIVATIONS_IN_PLACE:
        return first
    if packet in ACTIVATIONS:
        return _zeros(_as_result(first), first.device)
    training = arguments[5]
    return None if training else (_zeros(_as_result(first), first.device), first.new_empty(0), first.new_empty(0))


def _is_worth_it(tensor: Tensor) -> bool:
    return tensor.numel() >= MANY and tensor.device.type != "meta"


def _as_result(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


def _product(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Tensor | None:
    tensors = [one for one in arguments if isinstance(one, Tensor)]
    first, second = tensors[1:3] if operation.overloadpacket in ADDING else tensors[:2]
    if first.device.type == "meta" or first.numel() * second.numel() <= LARGE:
        return None
    bare = [_without_numbers(one) if isinstance(one, Tensor) else one for one in arguments]
    return _zeros(operation(*bare, **named), first.device)


def _without_numbers(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _zeros(like: Tensor, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=device).zero_()
    # Numpy's zeros take no memory before somebody reads them.
    places = 1 + sum((size - 1) * step for size, step in zip(like.shape, like.stride(), strict=True))
    plain = np.zeros(places * like.element_size(), dtype=np.uint8)
    return torch.from_numpy(plain).view(like.dtype).as_strided(like.shape, like.stride())
