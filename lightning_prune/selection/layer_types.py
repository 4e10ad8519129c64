"""Classes of layers: their full paths, and what is known of those of other libraries without importing them."""

from torch import nn

from lightning_prune.basics.dotted_paths import dotted

_CONV1D = "transformers.pytorch_utils.Conv1D"
_MODELS = "transformers.models."


def path_of(kind: type) -> str:
    """The full path of a class, as one would import it; that of a layer of torch in its short form.

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
    """Along which dimension of its matrices the outputs of a known layer of another library lie.

    Known are the ``Conv1D`` of transformers, a linear layer whose matrix is transposed, and its stacked experts, whose
    matrices have three dimensions: the experts, and either outputs and inputs or inputs and outputs, as they say.

    Args:
        layer: The layer.

    Returns:
        1 or 2; None for all other layers, whose outputs lie along the first dimension if torch's do.

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
