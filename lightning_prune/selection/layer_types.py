"""Classes of layers: their full paths, and facts about layers of other libraries, without importing the libraries."""

import re

from torch import nn

from lightning_prune.basics.dotted_paths import dotted

_CONV1D = "transformers.pytorch_utils.Conv1D"
_MODELS = "transformers.models."
_NORMALIZATION = re.compile(r"Norm(\d+d|Base)?$")  # the end of a class's name, or that of one it derives from


def path_of(kind: type) -> str:
    """The full path of a class, as in an import. Layers of torch get the short form.

    Args:
        kind: The class.

    Example:
        >>> path_of(nn.Linear), path_of(nn.Module)
        ('torch.nn.Linear', 'torch.nn.Module')
    """
    if getattr(nn, kind.__name__, None) is kind:
        return f"torch.nn.{kind.__name__}"
    return dotted(kind)


def outputs_of(layer: nn.Module) -> int | None:
    """Find the dimension along which the outputs lie in the matrices of a known layer of another library.

    Two kinds of layers of transformers are known. ``Conv1D`` is a linear layer whose matrix is transposed. Stacked
    experts have matrices with three dimensions: the experts first, then outputs and inputs, or inputs and outputs if
    their ``is_transposed`` attribute is true.

    Args:
        layer: The layer.

    Returns:
        1 or 2 for a known layer. None for all other layers. In torch's own layers, outputs lie along the first
        dimension.

    Example:
        >>> outputs_of(nn.Linear(2, 2)) is None
        True
    """
    kinds = type(layer).__mro__
    if any(path_of(kind) == _CONV1D for kind in kinds):
        return 1
    stacked = any(kind.__module__.startswith(_MODELS) and kind.__name__.endswith("Experts") for kind in kinds)
    transposed = getattr(layer, "is_transposed", None)
    return 1 + transposed if stacked and isinstance(transposed, bool) else None


def is_normalization(kind: type) -> bool:
    """Whether a class is a normalization layer, of torch or of another library, by its name.

    Args:
        kind: The class.

    Example:
        >>> is_normalization(nn.BatchNorm2d), is_normalization(nn.LayerNorm), is_normalization(nn.Linear)
        (True, True, False)
    """
    return any(_NORMALIZATION.search(one.__name__) for one in kind.__mro__)
