"""Embeddings, and the sequences of recurrent layers."""

import torch
from torch import nn

from lightning_prune.structures.labels import ANY
from lightning_prune.structures.rules.registry import Call, rule
from lightning_prune.structures.trace import Trace


@rule("embedding", "_embedding_bag")
def embedding(trace: Trace, call: Call) -> None:
    """Data chooses rows, whose columns are the units."""
    weight = call["weight"]
    dims = trace.dims(weight)
    if dims is None:
        trace.pin_tensor(weight, f"{call.name}{trace.here} chooses its rows by data")
        return
    trace.pin(dims[0], f"{call.name}{trace.here} chooses its rows by data")
    trace.use(weight, 1, "producer")
    trace.set(call.outputs[0], dims[1])


@rule("embedding_renorm_", "_assert_async", "_assert_tensor_metadata")
def unchanged(trace: Trace, call: Call) -> None:
    """Nothing that concerns units: columns of zeros change no norm."""


@rule("zeros", "new_zeros")
def zeros(trace: Trace, call: Call) -> None:
    """The first state of a recurrent layer has as many zeros as there are units."""
    if trace.inside((nn.RNNBase, nn.RNNCellBase)):
        trace.set(call.result, torch.full((), ANY))


@rule("_pack_padded_sequence")
def packed(trace: Trace, call: Call) -> None:
    """The same features for less steps."""
    source = call["input"]
    labels = trace.glue(trace.elements(source), [0, 1], f"{call.name}{trace.here} joins its places")
    trace.set(call.outputs[0], labels[0, :1])


@rule("_pad_packed_sequence")
def unpacked(trace: Trace, call: Call) -> None:
    """The same features for more steps."""
    source = call["data"]
    labels = trace.glue(trace.elements(source), [0], f"{call.name}{trace.here} divides its places")
    trace.set(call.outputs[0], labels[:1])


def tie_states(trace: Trace, name: str, layer: nn.RNNBase) -> None:
    """Tie what a recurrent layer reads from its state to what it writes, which a sequence of one step does not show.

    Args:
        trace: The trace.
        name: The name of the layer, for reasons.
        layer: The layer.
    """
    for leaf, weight in layer.named_parameters(recurse=False):
        if leaf.startswith("weight_hh"):
            dims = trace.dims(weight)
            written = trace.dims(getattr(layer, leaf.replace("_hh", "_hr"))) if layer.proj_size else dims
            if dims is not None and written is not None:
                trace.link(dims[1], written[0][: len(dims[1])], f"{name} is recurrent")
                trace.use_instead(weight, 0, "within")
