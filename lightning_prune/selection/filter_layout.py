"""The layout of filters in a weight: along the first dimension, except in transposed convolutions.

The weight of a transposed convolution has the shape ``(in, out / groups, ...)``. One output channel belongs to one
index of the second dimension, within one group of the first dimension. The matrix of the ``Conv1D`` of transformers is
laid out as that of a transposed convolution in one group.
"""

from torch import Size, Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from lightning_prune.selection.layer_types import outputs_of
from lightning_prune.selection.parameters import owned_parameters


def transposed_groups(module: nn.Module) -> dict[str, int]:
    """Find the weights of transposed convolutions, and of layers that are laid out alike.

    Args:
        module: The network.

    Returns:
        The number of groups of each such layer, by the name of its weight. 1 for the ``Conv1D`` of transformers.

    Example:
        >>> transposed_groups(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 6, 3, groups=2)))
        {'1.weight': 2}
    """
    return {
        one.name: owner.groups if isinstance(owner, _ConvTransposeNd) else 1
        for one in owned_parameters(module)
        for owner, leaf in one.owners[:1]
        if leaf == "weight" and (isinstance(owner, _ConvTransposeNd) or _is_turned(owner, one.parameter))
    }


def _is_turned(owner: nn.Module, weight: Tensor) -> bool:
    return weight.dim() == 2 and outputs_of(owner) == 1


def filter_count(shape: Size, transposed: int = 0) -> int:
    """Count the filters of a weight.

    Args:
        shape: The shape of the weight.
        transposed: The number of groups of a transposed convolution. 0 for any other layer.

    Returns:
        The number of filters, at least 1.

    Example:
        >>> filter_count(Size([4, 2, 3, 3])), filter_count(Size([4, 3, 5, 5]), transposed=2)
        (4, 6)
    """
    return max(shape[0] if not transposed else transposed * shape[1], 1) if len(shape) else 1


def by_filter(tensor: Tensor, transposed: int = 0) -> Tensor:
    """Reshape a tensor to one row per filter.

    Args:
        tensor: A tensor with the shape of a weight and at least one dimension.
        transposed: The number of groups of a transposed convolution. 0 for any other layer.

    Returns:
        The same numbers in the shape (filters, size of a filter).

    Example:
        >>> import torch
        >>> by_filter(torch.tensor([[1, 2], [3, 4]]), transposed=1).tolist()
        [[1, 3], [2, 4]]
    """
    if not transposed:
        return tensor.reshape(tensor.shape[0], -1)
    grouped = tensor.reshape(transposed, -1, *tensor.shape[1:])
    return grouped.transpose(1, 2).reshape(filter_count(tensor.shape, transposed), -1)


def undo_by_filter(matrix: Tensor, shape: Size, transposed: int = 0) -> Tensor:
    """Undo :func:`by_filter`.

    Args:
        matrix: One row per filter.
        shape: The shape of the weight, at least one dimension.
        transposed: The number of groups of a transposed convolution. 0 for any other layer.

    Returns:
        A tensor of that shape.

    Example:
        >>> import torch
        >>> undo_by_filter(torch.tensor([[1, 3], [2, 4]]), Size([2, 2]), transposed=1).tolist()
        [[1, 2], [3, 4]]
    """
    if not transposed:
        return matrix.reshape(shape)
    grouped = matrix.reshape(transposed, shape[1], shape[0] // transposed, *shape[2:])
    return grouped.transpose(1, 2).reshape(shape)


def for_every_weight(of_filter: Tensor, shape: Size, transposed: int = 0) -> Tensor:
    """Give every weight the number of its filter.

    Args:
        of_filter: One number per filter.
        shape: The shape of the weight, at least one dimension.
        transposed: The number of groups of a transposed convolution. 0 for any other layer.

    Returns:
        A tensor of that shape.

    Example:
        >>> import torch
        >>> for_every_weight(torch.tensor([5, 6]), Size([3, 2]), transposed=1).tolist()
        [[5, 6], [5, 6], [5, 6]]
    """
    rest = [1] * (len(shape) - 2 if transposed else len(shape) - 1)
    if not transposed:
        return of_filter.view(-1, *rest).expand(shape).clone()
    grouped = of_filter.view(transposed, 1, shape[1], *rest)
    return grouped.expand(transposed, shape[0] // transposed, *shape[1:]).reshape(shape)
