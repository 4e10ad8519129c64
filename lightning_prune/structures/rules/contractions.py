"""Matrix products: a weight reads units with one dimension, and makes new units with the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from lightning_prune.structures.labels import ANY, PLAIN, constant_along, without_repeats
from lightning_prune.structures.rules.pointwise import combine
from lightning_prune.structures.rules.registry import Call, one_along, rule
from lightning_prune.structures.trace import Product, Trace


@rule("mm", "addmm")
def matrix_product(trace: Trace, call: Call) -> None:
    """A product of two matrices. One of them is a weight most often."""
    left, right = (call["mat1"], call["mat2"]) if call.name == "aten.addmm" else (call["self"], call["mat2"])
    labels = _contract(trace, call, left, right)[0]
    trace.set(call.result, _plus(trace, call, labels) if call.name == "aten.addmm" else labels)


@rule("bmm", "baddbmm")
def batched_product(trace: Trace, call: Call) -> None:
    """Products of many pairs of matrices, such as one for each head."""
    added = call.name == "aten.baddbmm"
    left, right = (call["batch1"], call["batch2"]) if added else (call["self"], call["mat2"])
    labels = _contract(trace, call, left, right)
    trace.set(call.result, _plus(trace, call, labels) if added else labels)


def count(trace: Trace, call: Call, *along: Tensor) -> None:
    """Note the floating-point operations of a call, as torch's ``FlopCounterMode`` counts them.

    Args:
        trace: The trace.
        call: The call.
        along: The labels along each dimension that the operations are proportional to.
    """
    counted = flop_registry.get(call.operation.overloadpacket)
    if counted is not None:
        words = {one.name for one in call.operation._schema.arguments if one.kwarg_only}
        given = [value for name, value in call.given.items() if name not in words]
        flops = _flops(counted, given, {name: call.given[name] for name in words & call.given.keys()}, call.result)
        trace.products.append(Product(f"{call.name}{trace.here}", flops, along))


def _flops(formula: Any, given: Sequence[Any], words: Mapping[str, Any], result: Any) -> int:
    """Evaluate a formula of torch. It takes shapes, into which torch would turn the tensors at its leisure.

    Formulas of torch 2.6 have the shape of the result in the place after the tensors, so arguments such as ``alpha``,
    which have no place in the operation, are given by name.
    """
    bare = getattr(formula, "__wrapped__", None)
    if bare is None or not isinstance(result, Tensor):
        return int(formula(*given, out_val=result, **words))
    shapes = [one.shape if isinstance(one, Tensor) else one for one in given]
    return int(bare(*shapes, out_shape=result.shape, **words))


def per_batch(trace: Trace, call: Call, operands: Sequence[Tensor]) -> Tensor:
    """Tie together whatever belongs to one pair of matrices, such as a head.

    Args:
        trace: The trace.
        call: The operation.
        operands: Labels of the shape ``[pairs, ...]``.

    Returns:
        A label for each pair, of the shape ``[pairs]``.
    """
    mixed = f"{call.name}{trace.here} multiplies computed values along it"
    repeated = ([dim for dim in range(1, one.dim()) if one.stride(dim) == 0] for one in operands)
    parts = [one_along(one, dims).flatten(1) for one, dims in zip(operands, repeated, strict=True)]
    varying = [part for part in parts if not constant_along(part, 0)]
    units = varying[0].amax(1) if varying else torch.full((len(operands[0]),), PLAIN)
    for part in parts:
        if not varying or (constant_along(part, 0) and bool((part > ANY).any())):
            trace.pin(part, mixed)  # all pairs share it
        else:
            trace.labels.note(trace.labels.tied, part, mixed)
            trace.link(part, units[:, None], f"{call.name}{trace.here} multiplies it with data of a fixed size")
    return units


def _contract(trace: Trace, call: Call, left: Tensor, right: Tensor) -> Tensor:
    """The labels of a product ``[..., N, K] @ [..., K, M]``, as ``[pairs, N, M]``."""
    reason = f"{call.name}{trace.here} reads data of a fixed size"
    apart = f"{call.name}{trace.here} treats them apart, and they share a weight"
    if (dims := trace.dims(right)) is not None:
        labels = trace.glue(_three(trace.elements(left)), [0, 1], apart, mixes=False)
        trace.link(labels[0, 0], dims[-2], reason)
        trace.use(right, -2, "consumer")
        trace.use(right, -1, "producer")
        made = dims[-1].view(1, 1, -1)
    elif (dims := trace.dims(left)) is not None:
        labels = trace.glue(_three(trace.elements(right)), [0, 2], apart, mixes=False)
        trace.link(labels[0, :, 0], dims[-1], reason)
        trace.use(left, -1, "consumer")
        trace.use(left, -2, "producer")
        made = dims[-2].view(1, -1, 1)
    else:
        return _of_activations(trace, call, _three(trace.elements(left)), _three(trace.elements(right)))
    if len(dims) > 2:
        trace.pin(dims[0], f"{call.name}{trace.here} pairs it with data")
    count(trace, call, dims[-1], dims[-2])
    return made


def _of_activations(trace: Trace, call: Call, left: Tensor, right: Tensor) -> Tensor:
    for plain, other, kept in ((left, right, 2), (right, left, 1)):
        rest = [dim for dim in range(3) if dim != kept]
        if not bool((without_repeats(plain) > ANY).any()) and all(constant_along(other, dim) for dim in rest):
            other = one_along(other, rest)
            count(trace, call, other.flatten())
            return other
    units = per_batch(trace, call, [left, right])
    count(trace, call, units)
    return units.view(-1, 1, 1)


def _plus(trace: Trace, call: Call, labels: Tensor) -> Tensor:
    """Add a bias."""
    bias, shape = call["self"], call.result.shape
    reason = f"{call.name}{trace.here} adds data of a fixed size"
    added = trace.elements(bias)
    trace.use(bias, -1, "producer", bias=True)
    return combine(trace, [(shape, labels.expand(shape)), (bias.shape, added)], shape, reason)


def _three(labels: Tensor) -> Tensor:
    return labels if labels.dim() == 3 else labels[None]
