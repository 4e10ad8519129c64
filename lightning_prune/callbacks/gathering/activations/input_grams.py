"""Add up the products of what flows into the weights of an output: Gram matrices."""

from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor

from lightning_prune.callbacks.gathering.activations.products import Product
from lightning_prune.callbacks.gathering.activations.windows import windows
from lightning_prune.selection.filter_layout import filter_count

_AT_ONCE = 2**24  # numbers that are unfolded together
Part = tuple[int, int]  # the first output, and how many


class InputGrams:
    """The Gram matrices of all that was seen, where the data is.

    Args:
        weights: The weights by name.
        transposed: The groups of transposed convolutions by the names of their weights, and 1 for turned matrices.
    """

    def __init__(self, weights: Mapping[str, Tensor], transposed: Mapping[str, int]) -> None:
        self._weights, self._transposed = weights, transposed
        self._grams: dict[str, dict[Part, Tensor]] = {}
        self._last: tuple[Any, Tensor, Tensor] | None = None

    def saw(self, operation: Any, arguments: Sequence[Any], result: Any, product: Product | None) -> None:
        """See :class:`~lightning_prune.callbacks.gathering.activations.products.Watcher`."""
        if product is None or product.data.is_complex():
            return
        weight = self._weights[product.name]
        if product.convolution is not None:
            if not product.convolution[3]:
                self._add(product.name, (0, len(weight)), _of_convolution(product))
        elif weight.dim() == 2 and (part := self._part(product)) is not None:
            self._add(product.name, part, self._of_matrix(product.data))

    def forget(self) -> None:
        """Forget the data of a batch."""
        self._last = None

    def gram(self, name: str) -> Tensor | None:
        """The Gram matrices of a weight, (groups, size, size). None if nothing was seen of some of its outputs."""
        parts = self._grams.get(name, {})
        outputs = filter_count(self._weights[name].shape, self._transposed.get(name, 0))
        if len(parts) == 1 and (0, outputs) in parts:
            return parts[0, outputs]
        unit = gcd(outputs, *(number for part in parts for number in part))
        pieces = [
            [gram for (start, count), gram in parts.items() if start <= first < start + count]
            for first in range(0, outputs, unit)
        ]
        if not all(pieces):
            return None
        return torch.cat([torch.stack(them).sum(0) for them in pieces])

    def _part(self, product: Product) -> Part | None:
        """The outputs of a weight that a product computes. None if the weight is used in an unknown way."""
        view, weight = product.view, product.weight
        turned = bool(self._transposed.get(product.name, 0))
        along = 1 if turned else 0
        if view.shape[0] != weight.shape[1 - along] or view.stride(0) != weight.stride(1 - along):
            return None
        if view.shape[1] > 1 and view.stride(1) != weight.stride(along):
            return None
        return product.start // max(weight.stride(along), 1), view.shape[1]

    def _of_matrix(self, data: Tensor) -> Tensor:
        """The Gram matrix of rows. Several layers in a row often read the same."""
        key = (data.data_ptr(), data.shape, data.stride(), data.dtype, data._version)
        if self._last is None or self._last[0] != key:
            rows = wide(data)
            self._last = key, data, (rows.t() @ rows)[None]  # which keeps the memory
        return self._last[2]

    def _add(self, name: str, part: Part, gram: Tensor) -> None:
        parts = self._grams.setdefault(name, {})
        parts[part] = parts[part] + gram if part in parts else gram


def wide(data: Tensor) -> Tensor:
    """The same numbers in at least single precision, outside of any graph.

    Args:
        data: A tensor.
    """
    return data.detach().to(torch.promote_types(data.dtype, torch.float32))


def _of_convolution(product: Product) -> Tensor:
    """The Gram matrices of what lies under the kernel, one for each group."""
    assert product.convolution is not None
    groups = product.convolution[5]
    total: Tensor | None = None
    for images in _few(product):
        seen = windows(images, product.view.shape[2:], *product.convolution[:3])
        spatial = product.view.dim() - 2
        grouped = seen.reshape(len(seen), groups, -1, *seen.shape[2:])
        rows = grouped.movedim(1, 0)  # groups, samples, channels, positions, kernel
        rows = rows.movedim(2, 2 + spatial).flatten(1, 1 + spatial).flatten(2)
        gram = rows.transpose(1, 2) @ rows
        total = gram if total is None else total + gram
    assert total is not None
    return total


def _few(product: Product) -> Iterator[Tensor]:
    """Images, as many at a time as can be unfolded together."""
    images = wide(product.data)
    images = images if images.dim() == product.view.dim() else images[None]
    positions = product.result.shape[-(product.view.dim() - 2) :].numel()
    size = max(images.shape[1] * product.view.shape[2:].numel() * positions, 1)
    return iter(torch.split(images, max(_AT_ONCE // size, 1)))
