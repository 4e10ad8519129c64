"""Operations that only move elements: they do the same to the labels."""

import torch
from torch import Tensor

from lightning_prune.structures.labels import ANY, PLAIN, constant_along
from lightning_prune.structures.rules.registry import Call, again, dims_of, fixed, one_along, rule, set_all
from lightning_prune.structures.trace import Trace

COPIES = ("clone", "detach", "alias", "contiguous", "lift_fresh", "_to_copy", "detach_", "lift", "_conj")
VIEWS = ("view", "_unsafe_view", "_reshape_alias", "reshape")


@rule(*COPIES)
def copied(trace: Trace, call: Call) -> None:
    """The same elements."""
    dims = trace.dims(call.source)
    if dims is not None:
        trace.set_dims(call.result, dims)
    else:
        trace.set(call.result, trace.elements(call.source))


@rule("permute", "transpose", "t", "unsqueeze", "squeeze", "transpose_", "t_", "squeeze_", "unsqueeze_")
def reordered(trace: Trace, call: Call) -> None:
    """Other places for the dimensions. A weight stays a weight."""
    dims = trace.dims(call.source)
    if dims is None:
        trace.set(call.result, again(call, trace.elements(call.source)))
        return
    # We do the same to a tensor whose dimensions have different steps, and read the steps.
    steps = [2 * place + 2 if size > 1 else 0 for place, size in enumerate(call.source.shape)]
    moved = again(call, torch.empty_strided(tuple(call.source.shape), steps, device="meta"))
    found = [
        dims[step // 2 - 1] if size > 1 else torch.full((1,), PLAIN)
        for step, size in zip(moved.stride(), moved.shape, strict=True)
    ]
    trace.set_dims(call.result, found)


@rule(*VIEWS)
def viewed(trace: Trace, call: Call) -> None:
    """Dimensions that are divided or joined."""
    source, shape = call.source, call.result.shape
    dims = trace.dims(source)
    if dims is not None and [s for s in source.shape if s > 1] == [s for s in shape if s > 1]:
        large = iter([labels for labels in dims if len(labels) > 1])
        trace.set_dims(call.result, [next(large) if size > 1 else torch.full((1,), PLAIN) for size in shape])
        return
    labels = trace.elements(source)
    _note_splits(trace, labels, list(source.shape), list(shape))
    trace.set(call.result, labels.reshape(shape))


@rule("expand", "flip", "unbind", "repeat")
def repeated(trace: Trace, call: Call) -> None:
    """The same elements in another order, or several times."""
    dims = trace.dims(call.source)
    if call.name == "aten.expand" and dims is not None and len(dims) > 1:
        new = call.result.shape
        padded = [torch.full((1,), PLAIN)] * (len(new) - len(dims)) + dims
        trace.set_dims(call.result, [one.expand(size) for one, size in zip(padded, new, strict=True)])
        return
    labels = trace.elements(call.source)
    if call.name == "aten.unbind":
        labels = trace.glue(labels, dims_of(call["dim"], labels.dim()), fixed(trace, call))
    set_all(trace, call, again(call, labels))


@rule("zeros_like", "ones_like", "rand_like", "randn_like", "full_like", "empty_like")
def shaped_like(trace: Trace, call: Call) -> None:
    """Numbers for whatever size there is."""
    trace.set(call.result, torch.full((), ANY))


def _note_splits(trace: Trace, labels: Tensor, before: list[int], after: list[int]) -> None:
    """Note which dimensions become several: they may lose whole slices along one of the new ones only."""
    i = j = 0
    while i < len(before) and j < len(after):
        first, last = (i, j), (before[i], after[j])
        while last[0] != last[1]:
            if last[0] < last[1]:
                i += 1
                last = (last[0] * before[i], last[1])
            else:
                j += 1
                last = (last[0], last[1] * after[j])
        old, new = range(first[0], i + 1), [size for size in after[first[1] : j + 1] if size > 1]
        if len(new) > 1 and any(not constant_along(labels, dim) for dim in old):
            rest = [dim for dim in range(labels.dim()) if dim not in old and constant_along(labels, dim)]
            moved = one_along(labels, rest).movedim(list(old), list(range(len(old))))
            reason = f"a view divides it into {new}{trace.here}"
            trace.splits.append((moved.reshape(*new, -1), reason, i + 1 < len(before)))
        i, j = i + 1, j + 1
