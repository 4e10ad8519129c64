"""Find the products of weights with data among the operations of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
_CONVOLUTION = aten.convolution.default


@dataclass(frozen=True)
class Product:
    """A weight, or a part of it, times data.

    Args:
        name: The name of the weight.
        weight: The weight.
        data: What it is multiplied with: one row for each position. For a convolution the images.
        view: The factor: a view of the weight, or of a copy of it in another precision, with one row for each input and
            one column for each output. For a convolution the whole weight.
        start: Where the view begins in the memory of the weight.
        result: What the operation gave.
        convolution: The arguments of a convolution behind its bias. None for a product of matrices.
        turned: Whether the outputs lie along the first dimension of the result of a product of matrices.
    """

    name: str
    weight: Tensor
    data: Tensor
    view: Tensor
    start: int
    result: Tensor
    convolution: tuple[Any, ...] | None = None
    turned: bool = False


class Watcher(Protocol):
    """What is told of all operations."""

    def saw(self, operation: Any, arguments: Sequence[Any], result: Any, product: Product | None) -> None:
        """An operation has run.

        Args:
            operation: The overload of aten.
            arguments: Its arguments by place, and then those by name.
            result: What it gave.
            product: The weight in it and its data, if it is a product with a known weight.
        """


class Watching(TorchDispatchMode):
    """Runs operations, and tells a watcher of them.

    Layers are known by the memory of their weights. So it does not matter who multiplies: a layer, attention, or
    ``torch.nn.functional`` with the weight of another module.

    Args:
        weights: The weights by name.
        watcher: What is told.
    """

    def __init__(self, weights: Mapping[str, Tensor], watcher: Watcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watcher = watcher
        self._at: dict[int, list[tuple[str, Tensor, Tensor]]] = {}
        for name, weight in weights.items():
            self._at.setdefault(_memory(weight), []).append((name, weight, weight))
        self._lasting = set(self._at)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        arguments = [*args, *(kwargs or {}).values()]
        if func is aten._to_copy.default and isinstance(result, Tensor):
            self._copied(args[0], result)
        self._watcher.saw(func, arguments, result, self._product(func, arguments, result))
        return result

    def forget(self) -> None:
        """Forget the copies of weights in other precisions, whose memory is used for other things later."""
        self._at = {memory: found for memory, found in self._at.items() if memory in self._lasting}

    def _product(self, func: Any, arguments: list[Any], result: Any) -> Product | None:
        if func is _CONVOLUTION:
            found = self._find(arguments[1])
            if found is None or arguments[1].shape != found[1].shape:
                return None
            return Product(found[0], found[1], arguments[0], arguments[1], 0, result, tuple(arguments[3:]))
        factors = _factors(func, arguments)
        for turned, (data, view) in enumerate(factors or ()):
            if (found := self._find(view)) is not None:
                name, weight, copy = found
                start = int(view.storage_offset() - copy.storage_offset())
                return Product(name, weight, data, view, start, result, None, bool(turned))
        return None

    def _find(self, tensor: Any) -> tuple[str, Tensor, Tensor] | None:
        """The weight that a tensor is a view of."""
        if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
            return None
        for name, weight, copy in self._at.get(_memory(tensor), ()):
            if 0 <= tensor.storage_offset() - copy.storage_offset() < weight.numel():
                return name, weight, copy
        return None

    def _copied(self, source: Any, copy: Tensor) -> None:
        found = self._find(source)
        if found is not None and source.shape == found[1].shape and copy.stride() == found[1].stride():
            self._at.setdefault(_memory(copy), []).append((found[0], found[1], copy))  # which keeps the memory


def _factors(func: Any, arguments: list[Any]) -> list[tuple[Tensor, Tensor]] | None:
    """The factors of a product of matrices, each time as data and the one that may be a weight."""
    packet = func.overloadpacket
    if packet in (aten.mm, aten.addmm):
        first, second = arguments[-2:] if packet is aten.mm else arguments[1:3]
        return [(first, second), (second.t(), first.t())]
    if packet in (aten.mv, aten.addmv):
        matrix, vector = arguments[:2] if packet is aten.mv else arguments[1:3]
        return [(vector[None], matrix.t())]
    if packet in (aten.bmm, aten.baddbmm):
        first, second = arguments[:2] if packet is aten.bmm else arguments[1:3]
        if second.stride(0) == 0:  # the same matrix for the whole batch
            return [(first.flatten(0, 1), second[0])]
        if first.stride(0) == 0:
            return [(second.transpose(1, 2).flatten(0, 1), first[0].t())]
    if packet is aten.linear:
        return [(arguments[0].flatten(0, -2), arguments[1].t())]
    return None


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
