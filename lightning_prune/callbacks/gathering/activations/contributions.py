"""Add up what units contribute to random outputs of the layers that read them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.activations.input_grams import wide
from lightning_prune.callbacks.gathering.activations.products import Product
from lightning_prune.callbacks.gathering.activations.windows import windows
from lightning_prune.callbacks.gathering.source import Source

_DRAWS = 1024  # outputs of each layer and batch


class Reads(NamedTuple):
    """Inputs of a layer that are values of units.

    Args:
        group: The name of the group of units.
        dim: The dimension of the weight along which its inputs lie.
        units: The unit of each input, int64. -1 where an input is of no unit.
    """

    group: str
    dim: int
    units: Tensor


class Contributions:
    """The Gram matrices of contributions to outputs that are drawn at random, by the global generator of the CPU.

    Args:
        widths: The number of units of each group, by name.
        reads: What each weight reads, by its name.
    """

    def __init__(self, widths: Mapping[str, int], reads: Mapping[str, Sequence[Reads]]) -> None:
        self._widths, self._reads = widths, reads
        self._sums: dict[str, Tensor] = {}
        self._draws: dict[str, int] = {}

    def saw(self, operation: Any, arguments: Sequence[Any], result: Any, product: Product | None) -> None:
        """See :class:`~lightning_prune.callbacks.gathering.activations.products.Watcher`."""
        reads = self._reads.get(product.name, ()) if product is not None else ()
        if not reads or product is None or product.data.is_complex():
            return
        terms = _terms_of_matrix(product) if product.convolution is None else _terms_of_convolution(product)
        for one in reads if terms is not None else ():
            assert terms is not None
            if one.dim == terms[1] and len(one.units) == terms[0].shape[1]:
                self._add(one, terms[0])

    def found(self, source: Source, device: torch.device) -> dict[str, Tensor]:
        """The mean over the draws of all processes, by group.

        Args:
            source: What adds up over processes.
            device: Where the processes exchange tensors.

        Raises:
            ValueError: If nothing was seen of a group.
        """
        result = {}
        for group, width in self._widths.items():
            mine = self._sums.get(group, torch.zeros(width, width)).to(device)
            draws = float(source.summed(torch.tensor([float(self._draws.get(group, 0))], device=device)))
            if not draws:
                raise UserError(
                    f"The criterion looks at what layers make of the units of {group!r}, and no linear layer or "
                    "convolution in one group that reads them ran in the batches. Leave them out: Structures(exclude=["
                    f"{group!r}]), or give a criterion of the weights alone, such as l1_norm."
                )
            result[group] = source.summed(mine) / draws
        return result

    def _add(self, reads: Reads, terms: Tensor) -> None:
        units, width = reads.units.to(terms.device), self._widths[reads.group]
        some = units >= 0
        one = terms.new_zeros(len(terms), width).index_add_(1, units[some], terms[:, some])
        gram = one.t() @ one
        before = self._sums.get(reads.group)
        self._sums[reads.group] = gram if before is None else before + gram
        self._draws[reads.group] = self._draws.get(reads.group, 0) + len(terms)


def _draw(high: int, device: torch.device) -> Tensor:
    return torch.randint(high, (_DRAWS,)).to(device)


def _terms_of_matrix(product: Product) -> tuple[Tensor, int] | None:
    """What each input adds to outputs that are drawn: one row for each draw. And the dimension of the inputs."""
    data, view, weight = product.data, product.view, product.weight
    if weight.dim() != 2 or not data.numel():
        return None
    outputs, positions = _draw(view.shape[1], data.device), _draw(len(data), data.device)
    dim = 0 if view.stride() == weight.stride() and view.shape == weight.shape else 1
    return wide(data[positions]) * wide(view[:, outputs]).t(), dim


def _terms_of_convolution(product: Product) -> tuple[Tensor, int] | None:
    assert product.convolution is not None
    stride, padding, dilation, transposed, _, groups = product.convolution
    if transposed or groups > 1 or not product.data.numel():
        return None
    images = product.data if product.data.dim() == product.view.dim() else product.data[None]
    seen = windows(images.detach(), product.view.shape[2:], stride, padding, dilation)
    places = [_draw(size, seen.device) for size in (seen.shape[0], *seen.shape[2 : product.view.dim()])]
    outputs = _draw(len(product.view), seen.device)
    under = seen.movedim(1, product.view.dim() - 1)[tuple(places)]  # draws, channels, kernel
    return (wide(under) * wide(product.view[outputs])).flatten(2).sum(2), 1
