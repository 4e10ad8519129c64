"""Operations on the channels of pictures: borders, shuffles, and pixels made of channels."""

import torch

from lightning_prune.structures.labels import PLAIN, constant_along
from lightning_prune.structures.rules.registry import Call, fixed, one_along, rule
from lightning_prune.structures.trace import Trace


@rule("constant_pad_nd")
def padded(trace: Trace, call: Call) -> None:
    """A border belongs to the channel around which it lies. Added channels always stay."""
    labels, pad = trace.elements(call.source), call["pad"]
    pads = {labels.dim() - 1 - place: pad[2 * place : 2 * place + 2] for place in range(len(pad) // 2)}
    cropped = [dim for dim, amounts in pads.items() if min(amounts) < 0]
    labels = trace.glue(labels, cropped, fixed(trace, call))
    labels = one_along(labels, [dim for dim in range(labels.dim()) if constant_along(labels, dim)])
    for dim, amounts in pads.items():
        if labels.shape[dim] > 1:
            labels = torch.constant_pad_nd(labels, [*[0, 0] * (labels.dim() - 1 - dim), *amounts], PLAIN)
    trace.set(call.result, labels)


@rule(*(f"{kind}_pad{rank}d" for kind in ("reflection", "replication") for rank in (1, 2, 3)))
def padded_by_itself(trace: Trace, call: Call) -> None:
    """A border of the channel's own values."""
    labels = trace.elements(call.source)
    spatial = list(range(labels.dim() - len(call["padding"]) // 2, labels.dim()))
    labels = trace.glue(labels, spatial, f"{call.name}{trace.here} mixes its places")
    trace.set(call.result, one_along(labels, spatial))


@rule("pixel_shuffle", "pixel_unshuffle")
def pixels(trace: Trace, call: Call) -> None:
    """Squares of channels become squares of pixels, or the other way round."""
    channels = trace.per_channel(
        trace.elements(call.source), call.source.dim() - 3, f"{call.name}{trace.here} mixes it"
    )
    factor = call.get("upscale_factor") or call["downscale_factor"]
    if call.name == "aten.pixel_shuffle":
        labels = trace.glue(channels.view(-1, factor**2), [1], f"{call.name}{trace.here} makes one picture of it")[:, 0]
    else:
        labels = channels.repeat_interleave(factor**2)
    trace.set(call.result, labels.view(-1, 1, 1))


@rule("channel_shuffle", "native_channel_shuffle")
def shuffled(trace: Trace, call: Call) -> None:
    """Channels of several groups, one of each group after the other. The number of groups is fixed."""
    reason = f"{call.name}{trace.here} keeps its groups equal"
    channels = trace.per_channel(trace.elements(call.source), 1, reason).view(call["groups"], -1)
    trace.glue(channels, [0], reason)
    trace.set(call.result, channels.t().reshape([-1] + [1] * (call.source.dim() - 2)))


@rule("im2col")
def unfolded(trace: Trace, call: Call) -> None:
    """Patches, each with all its channels."""
    channels = trace.per_channel(
        trace.elements(call.source), call.source.dim() - 3, f"{call.name}{trace.here} mixes it"
    )
    kernel = call["kernel_size"]
    trace.set(call.result, channels.repeat_interleave(kernel[0] * kernel[1]).view(-1, 1))
