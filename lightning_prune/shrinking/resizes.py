"""The functions that set the attributes of each kind of module from its tensors, which are small already."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

Resize = Callable[[Any], None]


def resize_of(module: nn.Module, resizes: Mapping[type, Resize]) -> Resize | None:
    """Find the function for a module.

    Args:
        module: Any module.
        resizes: The user's own functions by class. They go before those of this file.

    Returns:
        The function. None: the module has no attribute that is known to follow from its tensors.

    Example:
        >>> resize_of(nn.Conv2d(1, 1, 1), {}).__name__, resize_of(nn.ReLU(), {})
        ('_convolution', None)
    """
    own = (function for kind, function in resizes.items() if isinstance(module, kind))
    of_torch = (function for kinds, function in RESIZES if isinstance(module, kinds))
    return next(own, None) or next(of_torch, None) or _by_its_parts(module)


def _by_its_parts(module: nn.Module) -> Resize | None:
    """Recognize layers of other libraries by their parts. These libraries copy their layers from model to model."""
    if type(module).__name__ == "Conv1D" and {"nf", "nx"} <= vars(module).keys():
        return _transposed_linear
    return _attention if _number(module, _HEADS) and _part(module, _QUERIES) else None


def _convolution(layer: Any) -> None:
    rows, columns = layer.weight.shape[:2]
    if layer.transposed:
        layer.in_channels, layer.out_channels = rows, columns * layer.groups
    else:
        layer.in_channels, layer.out_channels = columns * layer.groups, rows


def _linear(layer: Any) -> None:
    layer.out_features, layer.in_features = layer.weight.shape


def _bilinear(layer: Any) -> None:
    layer.out_features, layer.in1_features, layer.in2_features = layer.weight.shape


def _embedding(layer: Any) -> None:
    layer.embedding_dim = layer.weight.shape[1]


def _batch_norm(layer: Any) -> None:
    layer.num_features = (layer.running_mean if layer.weight is None else layer.weight).numel()


def _layer_norm(layer: Any) -> None:
    if layer.weight is not None:
        layer.normalized_shape = tuple(layer.weight.shape)


def _group_norm(layer: Any) -> None:
    if layer.weight is not None:
        layer.num_channels = layer.weight.numel()


def _prelu(layer: Any) -> None:
    layer.num_parameters = layer.weight.numel()


def _recurrent(layer: Any) -> None:
    gates = {"LSTM": 4, "GRU": 3}.get(layer.mode, 1)
    layer.input_size = layer.weight_ih_l0.shape[1]
    layer.hidden_size = layer.weight_hh_l0.shape[0] // gates
    if layer.proj_size:
        layer.proj_size = layer.weight_hr_l0.shape[0]
    layer.flatten_parameters()


def _cell(layer: Any) -> None:
    layer.hidden_size, layer.input_size = layer.weight_hh.shape[1], layer.weight_ih.shape[1]


def _transposed_linear(layer: Any) -> None:
    """Hugging Face's Conv1D of GPT-2, a linear layer that keeps its weight transposed."""
    layer.nx, layer.nf = layer.weight.shape


# By kind, the first that fits. Subclasses are of the kind of their base.
RESIZES: list[tuple[tuple[type, ...], Resize]] = [
    ((nn.modules.conv._ConvNd,), _convolution),
    ((nn.Linear,), _linear),
    ((nn.Bilinear,), _bilinear),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    ((nn.modules.batchnorm._NormBase,), _batch_norm),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
    ((nn.GroupNorm,), _group_norm),
    ((nn.PReLU,), _prelu),
    ((nn.RNNBase,), _recurrent),
    ((nn.RNNCellBase,), _cell),
    ((nn.MultiheadAttention,), lambda _: None),  # it has no attribute for heads of fewer channels, and stays masked
]

# The names that timm and Hugging Face give to the parts of an attention layer. A fused projection holds three parts.
_FUSED = {"qkv": 3, "c_attn": 3, "query_key_value": 3}
_QUERIES = ("q_attn", *_FUSED, "query", "q_proj", "q", "q_lin", "to_q")
_KEYS = ("k_proj", "key", "k")
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")
_HEAD_SIZES = ("head_dim", "attention_head_size", "key_value_proj_dim")
_ALL_HEADS = ("attn_dim", "all_head_size", "inner_dim", "split_size")
_WIDTHS = (*_ALL_HEADS, "embed_dim", "dim", "hidden_size")


def _attention(layer: Any) -> None:
    """Set the number of heads, and the sizes that are multiples of it. The size of a head stays."""
    heads = _number(layer, _HEADS)
    size = _number(layer, _HEAD_SIZES) or _number(layer, _WIDTHS) // heads
    query, key = _part(layer, _QUERIES), _part(layer, _KEYS)
    if not size:
        return
    left = _rows(getattr(layer, query)) // (_FUSED.get(query, 1) * size)
    scaled = {name: left * size for name in _ALL_HEADS if vars(layer).get(name) == heads * size}
    counted = {name: left for name in _HEADS if vars(layer).get(name) == heads}
    shared = {name: _rows(getattr(layer, key)) // size for name in _KEY_HEADS if key and name in vars(layer)}
    for name, value in {**scaled, **counted, **shared}.items():
        setattr(layer, name, value)


def _number(module: nn.Module, names: Sequence[str]) -> int:
    """The first of the attributes that is a whole number. 0 if none is."""
    return next((vars(module)[name] for name in names if type(vars(module).get(name)) is int), 0)


def _part(module: nn.Module, names: Sequence[str]) -> str:
    """The first of the names that is a layer of the module with a weight matrix. Empty if none is."""
    return next((name for name in names if name in module._modules and _rows(module._modules[name])), "")


def _rows(layer: Any) -> int:
    """The number of outputs of a linear layer. 0 for another layer."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.nf if type(layer).__name__ == "Conv1D" and hasattr(layer, "nf") else 0
