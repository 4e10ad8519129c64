"""Leave out the large products of a forward pass, whose values nobody needs: only shapes matter to the labels."""

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LARGE = 1 << 16  # the product of the numbers of elements of both factors
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.convolution}
ADDING = {aten.addmm, aten.baddbmm}  # a first tensor to the product of the others
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


def is_large(operation: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether an operation is a product that takes its time.

    Args:
        operation: The overload.
        arguments: Its arguments.
    """
    if operation.overloadpacket not in PRODUCTS:
        return False
    tensors = [one for one in arguments if isinstance(one, Tensor)]
    first, second = tensors[1:3] if operation.overloadpacket in ADDING else tensors[:2]
    return first.device.type != "meta" and first.numel() * second.numel() > LARGE


def zeros_for(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Zeros in place of what an operation returns.

    Args:
        operation: The overload.
        arguments: Its arguments.
        named: Its named arguments.

    Returns:
        A tensor of the shape, the layout, the type and the device that the operation's result has.
    """
    device = next(one.device for one in arguments if isinstance(one, Tensor))
    bare = [_without_numbers(one) if isinstance(one, Tensor) else one for one in arguments]
    return _zeros(operation(*bare, **named), device)


def _without_numbers(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _zeros(like: Tensor, device: torch.device) -> Tensor:
    return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=device).zero_()
