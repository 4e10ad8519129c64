"""Count what a network weighs: parameters, operations, bytes of its file, and memory of its activations."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor, nn

from lightning_prune.deployment.profiling.activation_memory import activation_memory
from lightning_prune.shrinking.quiet_calls import Call, quiet
from lightning_prune.structures.flops import count_flops


@dataclass(frozen=True)
class Sizes:
    """What a network weighs. All numbers are exact.

    Args:
        parameters: The number of its parameters.
        zeros: How many of them are zero.
        flops: The floating-point operations for one sample. A multiplication and an addition are two.
        file_bytes: The size of a safetensors file with all that its state holds.
        activation_bytes: The most bytes that activations need at one time in a forward pass without gradients, by the
            size of the batch.
    """

    parameters: int
    zeros: int
    flops: int
    file_bytes: int
    activation_bytes: Mapping[int, int]


def sizes_of(module: nn.Module, calls: Mapping[int, Call]) -> Sizes:
    """Count what a network weighs.

    Args:
        module: The network.
        calls: Ways to run it, by the size of the batch. One of them is 1.
    """
    parameters = list(module.parameters())
    activations = {}
    for size, call in calls.items():
        with quiet(module, call, training=False):
            activations[size] = activation_memory(call)
    with quiet(module, calls[1], training=False):
        flops = count_flops(module, calls[1]).total
    return Sizes(
        sum(one.numel() for one in parameters),
        sum(int((one == 0).sum()) for one in parameters),
        flops,
        file_bytes(module),
        activations,
    )


def file_bytes(module: nn.Module) -> int:
    """The size of a safetensors file with all tensors of the network's state. Tensors that are the same count once.

    Args:
        module: The network.

    Example:
        >>> file_bytes(nn.Linear(3, 2)) - 4 * (3 * 2 + 2)  # the header: names, shapes and places
        128
    """
    first: dict[object, str] = {}
    kept: dict[str, Tensor] = {}
    for name, one in module.state_dict().items():
        if isinstance(one, Tensor) and first.setdefault((one.data_ptr(), one.shape, one.stride()), name) == name:
            kept[name] = one.detach().cpu().clone(memory_format=torch.contiguous_format)  # or parts of one storage
    return len(save(kept))
