"""Follow what flows out of units: from the layer that makes it to whatever reads it, through norms and activations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_prune.callbacks.gathering.activations.products import Product
from lightning_prune.structures.rules.pointwise import WITHOUT_TAG
from lightning_prune.structures.rules.registry import tensors_in

_SAME = ("alias", "detach", "clone", "_to_copy", "contiguous", "lift_fresh")  # the same numbers
_VIEWS = ("view", "_unsafe_view", "reshape")  # the last dimension may stay


class Made(NamedTuple):
    """A part of a layer's outputs.

    Args:
        group: The name of the group of units.
        units: The unit of each output of the layer, int64. -1 where an output belongs to no unit.
    """

    group: str
    units: Tensor


class Flow(NamedTuple):
    """Values of units on their way.

    Args:
        values: The tensor.
        along: The dimension along which the outputs lie: 1 behind a convolution, -1 else.
        parts: What the outputs belong to.
    """

    values: Tensor
    along: int
    parts: tuple[Made, ...]


Seen = Callable[[str, Tensor, Tensor], None]


class UnitOutputs:
    """Finds the values of units where an operation of another kind reads them, such as a layer, a pool or a flatten.

    Args:
        made: What the outputs of each weight belong to, by its name.
        seen: Is given the name of a group, the values, with samples first and outputs second, and the unit of each
            output.
    """

    def __init__(self, made: Mapping[str, Sequence[Made]], seen: Seen) -> None:
        self._made, self._seen = made, seen
        self._flows: dict[int, Flow] = {}  # by identity; the tensors are kept, so that no other gets their place
        self._noted: set[int] = set()

    def saw(self, operation: Any, arguments: Sequence[Any], result: Any, product: Product | None) -> None:
        """See :class:`~lightning_prune.callbacks.gathering.activations.products.Watcher`."""
        outputs = tensors_in([result])
        read = [self._flows[id(one)] for one in tensors_in(arguments) if id(one) in self._flows]
        if read and outputs:
            if _passes(operation, read[0], outputs[0]):
                self._flows[id(outputs[0])] = Flow(outputs[0], read[0].along, _together(read))
            else:
                for flow in read:
                    self._note(flow)
        if product is not None and product.name in self._made:
            self._begin(product)

    def forget(self) -> None:
        """Forget the values of a pass over a batch."""
        self._flows.clear()
        self._noted.clear()

    def _begin(self, product: Product) -> None:
        along = -1 if product.convolution is None else 1
        count = product.result.shape[along]
        if product.turned or (along == 1 and product.result.dim() < 3):
            return
        parts = tuple(Made(one.group, _of_view(one.units, product, count)) for one in self._made[product.name])
        self._flows[id(product.result)] = Flow(product.result, along, parts)

    def _note(self, flow: Flow) -> None:
        """Show values that are read, once for all that read them."""
        if id(flow.values) in self._noted:
            return
        self._noted.add(id(flow.values))
        values = flow.values.detach()
        values = values[None] if flow.along == -1 and values.dim() < 2 else values
        values = values.movedim(flow.along, 1)
        for part in flow.parts:
            if bool((part.units >= 0).any()):
                self._seen(part.group, values, part.units.to(values.device))


def _passes(operation: Any, flow: Flow, output: Tensor) -> bool:
    """Whether the values that an operation gives belong to the units whose values it got."""
    name = str(operation.overloadpacket).removeprefix("aten.").rstrip("_")
    if name in _VIEWS:
        return flow.along == -1 and output.shape[-1:] == flow.values.shape[-1:]
    alike = torch.Tag.pointwise in operation.tags or name in WITHOUT_TAG or name in _SAME or "norm" in name
    return alike and output.shape == flow.values.shape


def _together(flows: Sequence[Flow]) -> tuple[Made, ...]:
    """The parts of all flows that meet in an operation, such as a sum, each once."""
    parts: list[Made] = []
    for flow in flows:
        if flow.along == flows[0].along:
            parts += [one for one in flow.parts if not any(_are_same(one, other) for other in parts)]
    return tuple(parts)


def _are_same(one: Made, other: Made) -> bool:
    return one.group == other.group and torch.equal(one.units, other.units)


def _of_view(units: Tensor, product: Product, count: int) -> Tensor:
    """The units of the outputs of a view of a weight, or of a transposed convolution in groups."""
    if product.convolution is not None:
        return units.repeat(count // len(units))
    start = product.start // max(product.view.stride(1), 1) if count < len(units) else 0
    return units[start : start + count]
