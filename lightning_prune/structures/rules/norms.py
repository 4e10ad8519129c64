"""Normalization: by channel it keeps channels apart, over channels it mixes them."""

import torch

from lightning_prune.structures.groups import Role
from lightning_prune.structures.rules.pointwise import combine
from lightning_prune.structures.rules.registry import Call, rule
from lightning_prune.structures.trace import Counting, Trace


@rule(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "miopen_batch_norm",
    "_batch_norm_with_update",
    "_batch_norm_no_update",
)
def batch_norm(trace: Trace, call: Call) -> None:
    """Every channel by itself, with its own scale, shift and statistics."""
    source = call["input"]
    channels = trace.per_channel(trace.elements(source), 1, f"{call.name}{trace.here} normalizes over it")
    reason = f"{call.name}{trace.here} normalizes data of a fixed size"
    roles: dict[str, Role] = {"weight": "gate", "bias": "gate", "running_mean": "statistic", "running_var": "statistic"}
    tensors = {name: call.get(name) for name in roles}
    there = {name: tensor for name, tensor in tensors.items() if tensor is not None and tensor.numel()}
    if there:  # tied at once, since each time takes as long
        trace.link(torch.stack([trace.elements(one).reshape(-1) for one in there.values()]), channels, reason)
    for name, tensor in there.items():
        trace.use(tensor, 0, roles[name], bias=name == "bias")
    trace.set(call.outputs[0], channels.view(1, -1, *[1] * (source.dim() - 2)))


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(trace: Trace, call: Call) -> None:
    """All that is normalized together stays together."""
    source = call.source
    last = range(source.dim() - len(call["normalized_shape"]), source.dim())
    labels = trace.glue(trace.elements(source), last, f"{call.name}{trace.here} mixes its channels")
    operands = [(source.shape, labels)]
    for name in ("weight", "bias"):
        if (tensor := call.get(name)) is not None:
            operands.append((tensor.shape, trace.elements(tensor)))
            trace.use(tensor, -1, "gate", bias=name == "bias")
    trace.set(call.outputs[0], combine(trace, operands, source.shape, f"{call.name}{trace.here} scales it"))


@rule("native_group_norm")
def group_norm(trace: Trace, call: Call) -> None:
    """Whole groups only."""
    source, groups = call["input"], call["group"]
    channels = trace.per_channel(trace.elements(source), 1, f"{call.name}{trace.here} normalizes over it")
    whole = trace.glue(channels.view(groups, -1), [1], f"{call.name}{trace.here} mixes the channels of a group")
    for name in ("weight", "bias"):
        if (tensor := call[name]) is not None:
            trace.link(trace.elements(tensor).reshape(-1), channels, f"{call.name}{trace.here} scales it")
            trace.use(tensor, 0, "gate", bias=name == "bias")
    trace.counted.append(Counting(trace.owner_of(call["weight"]), "num_groups", whole[:, 0]))
    trace.set(call.outputs[0], channels.view(1, -1, *[1] * (source.dim() - 2)))
