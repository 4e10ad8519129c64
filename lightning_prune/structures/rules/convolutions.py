"""Convolutions: plain, transposed, depthwise and in groups."""

from typing import Any

import torch
from torch import Tensor

from lightning_prune.structures.labels import PLAIN
from lightning_prune.structures.rules.contractions import count
from lightning_prune.structures.rules.registry import Call, rule
from lightning_prune.structures.trace import Counting, Trace


@rule("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
def convolution(trace: Trace, call: Call) -> None:
    """The filters make channels, and each filter reads the channels of its group."""
    images, weight, bias = call["input"], call["weight"], call["bias"]
    channels = trace.per_channel(trace.elements(images), 1, f"{call.name}{trace.here} moves over it")
    dims = trace.dims(weight)
    if dims is None:
        reason = f"{call.name}{trace.here} has a weight that is computed"
        for tensor in (weight, bias):
            if tensor is not None:
                trace.pin_tensor(tensor, reason)
        trace.pin(channels, reason)
        count(trace, call)
        trace.set(call.result, torch.full((), PLAIN))
        return
    for kernel in dims[2:]:
        trace.pin(kernel, "it is the size of a filter")
    transposed = bool(call["transposed"])
    made = _plain(trace, call, channels, dims) if call["groups"] == 1 else _grouped(trace, call, channels, dims)
    within = call["groups"] > 1 and _by_group(call["groups"], weight, transposed)
    trace.use(weight, 1 if transposed else 0, "within" if within else "producer")
    trace.use(weight, 0 if transposed else 1, "within" if within else "consumer")
    if bias is not None:
        trace.link(trace.elements(bias), made, f"{call.name}{trace.here} has a bias of a fixed size")
        trace.use(bias, 0, "producer", bias=True)
    count(trace, call, dims[0], dims[1])
    trace.set(call.result, made.view(1, -1, *[1] * (call.result.dim() - 2)))


def _plain(trace: Trace, call: Call, channels: Tensor, dims: list[Tensor]) -> Tensor:
    read, made = (dims[0], dims[1]) if call["transposed"] else (dims[1], dims[0])
    trace.link(channels, read, f"{call.name}{trace.here} reads data of a fixed size")
    return made


def _grouped(trace: Trace, call: Call, channels: Tensor, dims: list[Tensor]) -> Tensor:
    """Channels in groups: whole groups go, or the same channels of every group, whichever leaves more units."""
    groups, transposed = call["groups"], bool(call["transposed"])
    reason = f"{call.name}{trace.here} keeps its groups equal"
    read = channels.view(groups, -1)
    if transposed:
        trace.link(channels, dims[0], reason)
    made = (dims[1].expand(groups, -1) if transposed else dims[0].view(groups, -1)).contiguous()
    inner = dims[1]
    if not _by_group(groups, call["weight"], transposed):
        read, made = trace.glue(read, [0], reason), made if transposed else trace.glue(made, [0], reason)
        if not transposed:
            trace.link(read[0], inner, reason)
        return made.reshape(-1)
    whole = trace.glue(read, [1], reason)[:, 0]
    trace.pin(inner, f"{call.name}{trace.here} loses whole groups")
    if not transposed:
        trace.link(trace.glue(made, [1], reason)[:, 0], whole, reason)
    owner = trace.owner_of(call["weight"])
    trace.counted.append(Counting(owner, "groups", whole))
    return whole.repeat_interleave(made.shape[1])


def _by_group(groups: int, weight: Any, transposed: bool) -> bool:
    """Whether whole groups leave more units than the same channels of every group."""
    inside = weight.shape[0] // groups if transposed else weight.shape[1]
    return bool(groups >= inside)
