"""Add up the squares of what flows into each weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_prune.callbacks.gathering.activations.products import Product

Place = tuple[int, tuple[int, ...], tuple[int, ...]]  # where a view begins in its weight, its shape and its strides


class InputNorms:
    """The sums of squares over all that was seen.

    A product of matrices needs one number for each input, and a convolution one for each weight of a filter. They are
    spread over the weights in the end, without memory of their own where each weight was used in one way.

    Args:
        weights: The weights by name.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._products: dict[str, dict[Place, Tensor]] = {}
        self._filters: dict[str, Tensor] = {}

    def saw(self, operation: Any, arguments: Sequence[Any], result: Any, product: Product | None) -> None:
        """See :class:`~lightning_prune.callbacks.gathering.activations.products.Watcher`."""
        if product is None:
            return
        squares = _wide(product.data).square()
        if product.convolution is not None:
            _add(self._filters, product.name, _under_kernel(squares, product))
        else:
            place = product.start, tuple(product.view.shape), product.view.stride()
            _add(self._products.setdefault(product.name, {}), place, squares.sum(0))

    def squares(self, name: str) -> Tensor | None:
        """The sum of squares for each entry of a weight, in its shape. None if it was not seen."""
        weight, products, filters = self._weights[name], self._products.get(name, {}), self._filters.get(name)
        if filters is not None and not products:
            return filters if filters.shape == weight.shape else filters.expand(weight.shape)
        if filters is None and len(products) == 1 and weight.dim() == 2:
            ((_, shape, strides), sums) = next(iter(products.items()))
            if (shape, strides) == (tuple(weight.t().shape), weight.t().stride()):
                return sums[None].expand(weight.shape)
            if (shape, strides) == (tuple(weight.shape), weight.stride()):
                return sums[:, None].expand(weight.shape)
        return self._spread(weight, products, filters) if products else None

    @staticmethod
    def _spread(weight: Tensor, products: Mapping[Place, Tensor], filters: Tensor | None) -> Tensor:
        like = next(iter(products.values()))
        total = torch.empty_strided(weight.shape, weight.stride(), dtype=like.dtype, device=like.device).zero_()
        for (start, shape, strides), sums in products.items():
            total.as_strided(shape, strides, start).add_(sums[:, None])
        return total if filters is None else total + filters


def _under_kernel(squares: Tensor, product: Product) -> Tensor:
    """Sum squares over all positions at which a kernel lies: the derivative by it of a convolution of the squares."""
    assert product.convolution is not None
    stride, padding, dilation, transposed, extra, groups = product.convolution
    shape, filters = list(product.view.shape), list(product.result.shape)
    shape[1 if transposed else 0] = 1 if transposed else groups  # all filters of a group see the same
    filters[1] = groups
    ones = torch.ones(filters, dtype=squares.dtype, device=squares.device)
    kernel = torch.empty(shape, dtype=squares.dtype, device=squares.device)
    rest = (stride, padding, dilation, transposed, extra, groups, [False, True, False])
    found: Tensor = torch.ops.aten.convolution_backward(ones, squares, kernel, None, *rest)[1]
    return found if transposed else found.repeat_interleave(product.view.shape[0] // groups, 0)


def _wide(data: Tensor) -> Tensor:
    data = data.detach().abs() if data.is_complex() else data.detach()
    return data.to(torch.promote_types(data.dtype, torch.float32))


def _add(sums: dict[Any, Tensor], key: Any, one: Tensor) -> None:
    sums[key] = sums[key] + one if key in sums else one
