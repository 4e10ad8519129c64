"""Operations that take places out of a tensor, or put tensors together."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.structures.labels import PLAIN, constant_along
from lightning_prune.structures.rules.pointwise import combine
from lightning_prune.structures.rules.registry import Call, again, dims_of, fixed, one_along, rule, set_all
from lightning_prune.structures.trace import Trace


@rule("as_strided", "as_strided_")
def restrided(trace: Trace, call: Call) -> None:
    """Another layout in memory for the same places, as pooling makes it. Anything else is not understood."""
    shape = tuple(call["size"])
    large = [dim for dim, size in enumerate(shape) if size > 1]
    plain = torch.empty(shape, device="meta").stride()
    same = all(call["stride"][dim] == plain[dim] for dim in large)
    if shape == tuple(call.source.shape) and same and not call["storage_offset"]:
        trace.set(call.result, trace.elements(call.source))
        return
    trace.pin_tensor(call.source, f"{call.name}{trace.here} is not understood")
    trace.set(call.result, torch.full((), PLAIN))


@rule("slice", "select", "narrow", "diagonal", "roll", "unfold")
def taken(trace: Trace, call: Call) -> None:
    """Some places, which code knows by their numbers: along them nothing can be removed by itself."""
    source, dims = call.source, trace.dims(call.source)
    if dims is not None and call.name == "aten.slice":
        _slice_weight(trace, call, dims, [call.result])
        return
    labels = trace.elements(source)
    if call.result.shape != source.shape or call.name == "aten.roll":
        named: Any = [call[name] for name in ("dim", "dim1", "dim2", "dimension") if call.get(name) is not None]
        along = call["dims"] or None if call.name == "aten.roll" else named or None
        labels = trace.glue(labels, dims_of(along, labels.dim()), fixed(trace, call))
    set_all(trace, call, again(call, labels))


@rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "split_with_sizes_copy")
def divided(trace: Trace, call: Call) -> None:
    """Equal parts, which lose the same places, or parts of sizes that code knows."""
    source, dim = call.source, call["dim"] % call.source.dim()
    dims = trace.dims(source)
    if dims is not None:
        _slice_weight(trace, call, dims, call.outputs)
        return
    labels = trace.elements(source)
    if not constant_along(labels, dim):
        equal = len({part.shape[dim] for part in call.outputs}) == 1
        if equal and (trace.chunking or trace.inside((nn.RNNBase, nn.RNNCellBase))):
            parts = labels.movedim(dim, 0)
            parts = parts.reshape(len(call.outputs), -1, *parts.shape[1:])
            trace.link(parts, parts[:1], fixed(trace, call))
        else:
            trace.labels.note(trace.labels.literal, labels, f"{call.name}{trace.here} has fixed sizes")
    set_all(trace, call, again(call, labels))


@rule("cat", "concatenate")
def concatenated(trace: Trace, call: Call) -> None:
    """One behind the other: along other dimensions the same has to be removed everywhere."""
    parts = [one for one in call["tensors"] if one.dim() == call.result.dim()]
    dim = dims_of(call["dim"], call.result.dim())[0]
    found = [trace.elements(one) for one in parts]
    for one in parts:
        trace.use(one, -1, "within")
    others = [d for d in range(call.result.dim()) if d != dim]
    varying = [d for d in others if any(not constant_along(one, d) for one in found)]
    labels = torch.cat([one_along(one, [d for d in others if d not in varying]) for one in found], dim)
    if varying:
        reason = f"{call.name}{trace.here} puts it beside values without it"
        labels = trace.glue(labels, [dim], reason, mixes=False)
    trace.set(call.result, labels)


@rule("stack")
def stacked(trace: Trace, call: Call) -> None:
    """Side by side: the same has to be removed everywhere."""
    parts, dim = call["tensors"], dims_of(call["dim"], call.result.dim())[0]
    reason = f"{call.name}{trace.here} puts it beside values without it"
    operands = [(part.shape, trace.elements(part)) for part in parts]
    trace.set(call.result, combine(trace, operands, parts[0].shape, reason).unsqueeze(dim))


@rule("index")
def indexed(trace: Trace, call: Call) -> None:
    """Places that data or code chooses: along them nothing can be removed by itself."""
    labels, indices = trace.elements(call.source), call["indices"]
    masks = [index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices]
    if any(masks) and len(indices) > 1:
        trace.pin(labels, f"{call.name}{trace.here} is not understood")
        trace.set(call.result, torch.full((), PLAIN))
        return
    along = range(indices[0].dim()) if any(masks) else [d for d, index in enumerate(indices) if index is not None]
    labels = trace.glue(labels, along, fixed(trace, call))
    if any(masks):
        trace.set(call.result, one_along(labels, along).flatten(0, len(along) - 1))
        return
    zeros = [None if index is None else torch.zeros(index.shape, dtype=torch.long) for index in indices]
    trace.set(call.result, torch.ops.aten.index.Tensor(labels, zeros))


@rule("index_select", "gather", "take_along_dim")
def gathered(trace: Trace, call: Call) -> None:
    """Places that data chooses."""
    labels = trace.elements(call.source)
    dim = dims_of(call["dim"], labels.dim())[0]
    labels = trace.glue(labels, [dim], fixed(trace, call)).narrow(dim, 0, 1)
    others = [d for d in range(labels.dim()) if d != dim and call.result.shape[d] != call.source.shape[d]]
    labels = trace.glue(labels, others, fixed(trace, call))
    trace.set(call.result, one_along(labels, others))


@rule("glu")
def gated(trace: Trace, call: Call) -> None:
    """Two halves, which lose the same places."""
    labels, dim = trace.elements(call.source), dims_of(call["dim"], call.source.dim())[0]
    first, second = labels.tensor_split(2, dim)
    trace.link(first, second, fixed(trace, call))
    trace.set(call.result, first)


def _slice_weight(trace: Trace, call: Call, dims: list[Tensor], parts: Sequence[Tensor]) -> None:
    """Parts of a weight along one dimension, as nn.MultiheadAttention takes them for queries, keys and values."""
    dim = dims_of(call["dim"], call.source.dim())[0]
    pieces = [dims[dim]] if len(parts) == 1 and parts[0].shape == call.source.shape else None
    if pieces is None:
        moved = again(call, dims[dim].view([-1 if d == dim else 1 for d in range(len(dims))]))
        pieces = [piece.reshape(-1) for piece in ([moved] if isinstance(moved, Tensor) else moved)]
        if trace.chunking and len({len(piece) for piece in pieces}) == 1:
            for piece in pieces[1:]:
                trace.link(piece, pieces[0], fixed(trace, call))
        elif not trace.inside(nn.MultiheadAttention):
            trace.glue(dims[dim], [0], fixed(trace, call))
    for part, piece in zip(parts, pieces, strict=True):
        trace.set_dims(part, [*dims[:dim], piece, *dims[dim + 1 :]])
