"""Linear layers with very many zeros, computed by torch's product of a sparse and a dense matrix."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.replaced_layers import (
    Candidate,
    ReplacedLayers,
    Replacement,
    beta_features,
    replace_layers,
    zeros_of,
)

_LEAST = 0.5  # with fewer zeros the sparse matrix is larger than the dense one


class CsrLinear(nn.Module):
    """A linear layer whose weight is a sparse matrix (compressed rows). It is for inference: the weight is not trained.

    Args:
        layer: The dense layer, whose bias is shared.

    Example:
        >>> import torch
        >>> layer = nn.Linear(3, 2)
        >>> _ = layer.weight.data[0].zero_()
        >>> x = torch.rand(5, 3)
        >>> torch.allclose(CsrLinear(layer)(x), layer(x))
        True
    """

    weight: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        with beta_features():
            self.register_buffer("weight", layer.weight.detach().to_sparse_csr())
        self.bias = layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.reshape(-1, self.in_features)
        # With the sparse matrix on the left, and not as F.linear does: that takes several times as long. For a single
        # row the product with a vector takes half as long as the product with a matrix.
        outputs = (self.weight @ rows[0])[None] if len(rows) == 1 else (self.weight @ rows.t()).t()
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def to_csr(module: nn.Module, example: Any = None, *, only_gains: bool = True) -> ReplacedLayers:
    """Let linear layers with many zeros compute with a sparse matrix, where that is faster on this machine.

    Each linear layer is measured once, dense and sparse in turn, on an input of the shape that the example gives it.
    Print the result to see the table of times. On a CPU large layers gain from 80 to 90 % zeros on. Convolutions are
    left alone: their zeros gain nothing in any maintained runtime (see the page of zeros). Use the network for
    inference only, and call ``undo()`` of the result before you train or save it.

    Args:
        module: The network. Its layers are replaced in place.
        example: The inputs of ``forward``, or a batch, of the size that you will use: the size decides what is faster.
            None: ``example_input_array``.
        only_gains: Whether layers stay dense that are not faster. False replaces all that can be.

    Returns:
        What was measured of every linear layer. Its ``undo()`` puts the former layers back.

    Raises:
        ValueError: If the network does not run on the example, or is a single linear layer.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
        >>> _ = network[0].weight.data.mul_(torch.rand(64, 64) < 0.05)
        >>> x = torch.rand(16, 64)
        >>> before = network(x)
        >>> changed = to_csr(network, x, only_gains=False)
        >>> changed.replaced, torch.allclose(network(x), before, atol=1e-6)
        (['0'], True)
        >>> changed.undo()
        >>> type(network[0]).__name__
        'Linear'
    """
    if isinstance(module, nn.Linear):
        raise UserError("to_csr(module=Linear) replaces layers within a network: give nn.Sequential(layer).")

    def replacement(one: Candidate) -> Replacement | str:
        if zeros_of(one.layer.weight) < _LEAST:
            return f"fewer than {_LEAST:.0%} zeros"
        new = CsrLinear(one.layer).train(one.layer.training)
        return Replacement(new, lambda: _replace(module, one.layer, new))

    return replace_layers(module, example, "to_csr(...)", only_gains, replacement)


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> Callable[[], object]:
    """Put a layer in the place of another one, wherever that is, and say how to undo it."""
    places = [(parent, name) for parent in module.modules() for name, one in parent._modules.items() if one is old]
    for parent, name in places:
        setattr(parent, name, new)

    def put_back() -> None:
        for parent, name in places:
            setattr(parent, name, old)

    return put_back
