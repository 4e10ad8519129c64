"""Operations on each element by itself, with broadcasting."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_prune.structures.labels import ANY, PLAIN, constant_along, narrowed
from lightning_prune.structures.rules.registry import Call
from lightning_prune.structures.trace import Trace

ADDITIONS = ("aten.add", "aten.add_", "aten.sub", "aten.sub_", "aten.rsub", "aten.lerp")
WITHOUT_TAG = {  # not every version of torch marks them
    *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "elu", "selu", "celu", "silu", "mish", "gelu"),
    *("leaky_relu", "rrelu_with_noise", "_prelu_kernel", "threshold", "clamp", "sigmoid", "tanh", "softplus"),
    *(
        "native_dropout",
        "dropout",
        "bernoulli",
        "masked_fill",
        "lerp",
        "nan_to_num",
        "fill",
        "zero",
        "log_sigmoid_forward",
    ),
}


def is_pointwise(call: Call) -> bool:
    """Whether an operation treats each element by itself."""
    return torch.Tag.pointwise in call.operation.tags or call.name.removeprefix("aten.").rstrip("_") in WITHOUT_TAG


def pointwise(trace: Trace, call: Call) -> None:
    """Tie the operands together wherever none of them is broadcast."""
    operands = [one for one in call.inputs if (one.dim() and one.numel() > 1) or trace.knows(one)]
    reason = f"{call.name}{trace.here} combines it with data of a fixed size"
    labels = [trace.elements(one) for one in operands]
    for operand in operands:
        trace.use(operand, -1, "within")
    shape = call.outputs[0].shape
    if len(operands) == 1 and operands[0].shape == shape:  # such as an activation function: nothing meets anything
        for output in call.outputs:
            if output is not operands[0]:
                trace.set(output, labels[0])
        return
    result = combine(trace, [(one.shape, label) for one, label in zip(operands, labels, strict=True)], shape, reason)
    if call.name in ADDITIONS and len(labels) > 1:
        trace.labels.note(trace.labels.summed, result, call.name)
    for output in call.outputs:
        trace.set(output, result)


def combine(
    trace: Trace, operands: Sequence[tuple[Sequence[int], Tensor]], shape: Sequence[int], reason: str
) -> Tensor:
    """The labels of a pointwise result.

    An operand that is broadcast along a dimension asks nothing of it. Else its labels are tied to those of the others.
    An operand without labels has a size that stays, so that nothing can be removed along its dimensions.

    Args:
        trace: The trace.
        operands: The shape and the labels of each operand.
        shape: The shape of the result.
        reason: Why elements that meet data can never be removed.

    Returns:
        The labels of the result.
    """
    result, sizes = torch.full((), ANY).expand(tuple(shape)), [1] * len(shape)
    for size, labels in operands:
        padded = [1] * (len(shape) - len(size)) + list(size)
        result, other = narrowed(result, labels.reshape(padded).expand(tuple(shape)))
        other = _beside_units(trace, other, padded, result, reason)
        result = _beside_units(trace, result, sizes, other, reason)
        result = _beside_data(trace, result, other, padded, reason)
        other = _beside_data(trace, other, result, sizes, reason)
        _tie(trace, result, other)
        result = torch.where((result > ANY) | (other == ANY), result, other).expand(tuple(shape))
        sizes = [max(pair) for pair in zip(sizes, padded, strict=True)]
    return result


def _beside_units(trace: Trace, labels: Tensor, size: Sequence[int], other: Tensor, reason: str) -> Tensor:
    """Give up the units of an operand that is repeated for each unit of another: an element has one label only."""
    if not _any_unit(labels) or not _any_unit(other):
        return labels
    if any(size[dim] == 1 and not constant_along(other, dim) for dim in range(other.dim())):
        trace.pin(labels, reason.replace("data of a fixed size", "each of other units"))
        return torch.full((), PLAIN).expand(labels.shape)
    return labels


def _beside_data(trace: Trace, labels: Tensor, data: Tensor, size: Sequence[int], reason: str) -> Tensor:
    """Keep what stands beside elements without labels, which have a fixed size where they are not broadcast."""
    if not _any_unit(labels) or not bool((data == PLAIN).any()):
        return labels
    fixed = [dim for dim in range(labels.dim()) if size[dim] > 1]
    if not fixed:
        return labels
    if _any_unit(data):  # some of its elements have labels
        trace.pin(labels[(data == PLAIN) & (labels > ANY)], reason)
        return labels
    if any(not constant_along(labels, dim) for dim in range(labels.dim()) if dim not in fixed):
        return trace.glue(labels, fixed, reason)
    trace.pin(labels, reason)
    return labels


def _tie(trace: Trace, first: Tensor, second: Tensor) -> None:
    units = (first > ANY) & (second > ANY)
    trace.labels.merge(first[units], second[units])


def _any_unit(labels: Tensor) -> bool:
    return bool((labels > ANY).any())
