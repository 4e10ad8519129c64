"""Linear layers in which two of every four weights live, computed by the sparse kernels of NVIDIA GPUs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.replaced_layers import (
    Candidate,
    ReplacedLayers,
    Replacement,
    beta_features,
    replace_layers,
)

_DTYPES = (torch.float16, torch.bfloat16)


def to_semi_structured(module: nn.Module, example: Any = None, *, only_gains: bool = True) -> ReplacedLayers:
    """Let linear layers with a 2:4 pattern compute with the sparse kernels of a GPU, where that is faster.

    The weights become torch's own semi-structured tensors (``torch.sparse.to_sparse_semi_structured``). Each layer is
    measured once, dense and sparse in turn, on an input of the shape that the example gives it. Print the result to see
    the table of times. Large layers with many rows of input gain. With one row the sparse kernel is many times slower.
    torch has no kernel for convolutions. Use the network for inference only, and call ``undo()`` of the result before
    you train or save it.

    Args:
        module: The network, on a GPU of compute capability 8.0 (Ampere) or later, in float16 or bfloat16. Train it with
            ``granularity=NofM(2, 4)``. Its weights are replaced in place.
        example: The inputs of ``forward``, or a batch, of the size that you will use: the size decides what is faster.
            None: ``example_input_array``.
        only_gains: Whether layers stay dense that are not faster. False replaces all that can be.

    Returns:
        What was measured of every linear layer. Its ``undo()`` puts the former weights back.

    Raises:
        ValueError: If the network is not on such a GPU, or does not run on the example.

    Example:
        >>> to_semi_structured(nn.Linear(64, 64), torch.rand(16, 64))
        Traceback (most recent call last):
        lightning_prune.UserError: to_semi_structured(module=Linear) needs an NVIDIA GPU, and the network is on cpu: ...
    """
    refuse_device(module)
    return replace_layers(module, example, "to_semi_structured(...)", only_gains, _replacement)


def refuse_device(module: nn.Module) -> None:
    """Refuse a network that is not on a GPU with sparse kernels.

    Args:
        module: The network.

    Raises:
        ValueError: If it is not.
    """
    said = f"to_semi_structured(module={type(module).__name__})"
    devices = {one.device for one in module.parameters()}
    if not any(device.type == "cuda" for device in devices):
        raise UserError(
            f"{said} needs an NVIDIA GPU, and the network is on {', '.join(map(str, devices)) or 'no device'}: move it "
            "there in half precision, module.half().cuda(). On a CPU no runtime gains from the pattern 2:4."
        )
    for device in devices:
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
            raise UserError(
                f"{said} needs a GPU of compute capability 8.0 (Ampere) or later, and "
                f"{torch.cuda.get_device_name(device)} has {torch.cuda.get_device_capability(device)}."
            )


def is_two_of_four(weight: Tensor) -> bool:
    """Whether at most two of every four weights along the inputs are not zero.

    Args:
        weight: A matrix.

    Example:
        >>> is_two_of_four(torch.tensor([[1, 0, 2, 0]])), is_two_of_four(torch.tensor([[1, 3, 2, 0]]))
        (True, False)
    """
    return weight.shape[1] % 4 == 0 and bool(((weight != 0).reshape(len(weight), -1, 4).sum(-1) <= 2).all())


def _replacement(one: Candidate) -> Replacement | str:
    layer, dense = one.layer, one.layer.weight
    if not is_two_of_four(dense):
        return "more than two of four weights live somewhere"
    if dense.dtype not in _DTYPES:
        return f"{str(dense.dtype).removeprefix('torch.')}: call module.half() or module.bfloat16() first"
    try:
        with beta_features():
            sparse = torch.sparse.to_sparse_semi_structured(dense.detach().contiguous())
    except (RuntimeError, NotImplementedError) as error:  # the sizes that its kernels take differ
        return f"torch cannot pack it: {str(error).splitlines()[0]}"
    return Replacement(lambda x: nn.functional.linear(x, sparse, layer.bias), lambda: _swap(layer, dense, sparse))


def _swap(layer: nn.Linear, dense: Tensor, sparse: Tensor) -> Callable[[], object]:
    """Give a layer another weight, and say how to undo it: the very same parameter comes back."""
    layer.weight = nn.Parameter(sparse, requires_grad=False)
    return lambda: setattr(layer, "weight", dense)
