"""The dimension of a weight along which the inputs lie that go into one output."""

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from lightning_prune.selection.layer_types import outputs_of
from lightning_prune.selection.parameters import Owned

_OTHERS: dict[type[nn.Module], str] = {
    nn.Embedding: "an embedding",
    nn.EmbeddingBag: "an embedding",
    nn.RNNBase: "a recurrent layer",
    nn.RNNCellBase: "a recurrent layer",
    nn.Bilinear: "a bilinear layer",
    _ConvTransposeNd: "a transposed convolution",
}


def dimension_of_inputs(weight: Owned) -> int | str:
    """Find the dimension of the inputs in the weight of a linear layer, a convolution or an attention projection.

    Args:
        weight: The weight, with its layers.

    Returns:
        The dimension: 1 in torch's own layers, 0 in the ``Conv1D`` of transformers. For other layers, and for grouped
        convolutions, what the layer is, in words.

    Example:
        >>> from lightning_prune.selection.parameters import owned_parameters
        >>> network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
        >>> {one.name: dimension_of_inputs(one) for one in owned_parameters(network) if "weight" in one.name}
        {'0.weight': 1, '1.weight': 'a grouped convolution'}
    """
    found = [_in_layer(layer) for layer, _ in weight.owners]
    reasons = [f"{one} that shares it" if len(found) > 1 else one for one in found if isinstance(one, str)]
    if reasons:
        return reasons[0]
    return found[0] if len(set(found)) == 1 else "shared by layers that read it along different dimensions"


def _in_layer(layer: nn.Module) -> int | str:
    for kind, said in _OTHERS.items():
        if isinstance(layer, kind):
            return said
    if isinstance(layer, _ConvNd) and layer.groups > 1:
        return "a grouped convolution"
    outputs = outputs_of(layer)
    if outputs is None:
        return 1
    matrices = [one.dim() for one in layer.parameters(recurse=False)]
    return 3 - outputs if 3 in matrices else 1 - outputs
