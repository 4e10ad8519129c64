"""Find the layers that can be repaired, and lay out what flows through them as rows of matrices."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from lightning_prune.selection.parameters import plain_name


@dataclass(frozen=True)
class Layer:
    """A linear layer or convolution, or several that share a weight.

    Args:
        name: The name of its weight.
        bias_name: The name of its bias. None if it has none.
        modules: The modules that use the weight.
    """

    name: str
    bias_name: str | None
    modules: tuple[nn.Module, ...]

    @property
    def weight(self) -> nn.Parameter:
        """The weight."""
        weight: nn.Parameter = self.modules[0].weight  # type: ignore[assignment]
        return weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias."""
        bias: nn.Parameter | None = self.modules[0].bias  # type: ignore[assignment]
        return bias

    @property
    def groups(self) -> int:
        """The number of groups of a convolution, and 1 for a linear layer."""
        return int(getattr(self.modules[0], "groups", 1))

    def grouped(self, weight: Tensor) -> Tensor:
        """A tensor of the shape of the weight, as groups of matrices: groups, outputs, inputs."""
        return weight.reshape(self.groups, weight.shape[0] // self.groups, -1)


def layers_of(module: nn.Module, covered: Mapping[str, Tensor]) -> dict[str, Layer]:
    """The linear layers and convolutions whose weights may be pruned, by the names of their weights.

    Transposed convolutions, attention projections without a module, and recurrent layers are left out.

    Args:
        module: The network.
        covered: The prunable tensors by name.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
        >>> list(layers_of(network, dict(network.named_parameters())))
        ['0.weight', '2.weight']
    """
    names = {id(one): plain_name(name) for name, one in module.named_parameters()}
    users: dict[str, list[nn.Module]] = {}
    for one in module.modules():
        fits = isinstance(one, nn.Linear | _ConvNd) and not isinstance(one, _ConvTransposeNd)
        if fits and names.get(id(one.weight)) in covered:
            users.setdefault(names[id(one.weight)], []).append(one)
    return {
        name: Layer(name, None if found[0].bias is None else names.get(id(found[0].bias)), tuple(found))
        for name, found in users.items()
    }


def input_rows(layer: nn.Module, inputs: Tensor, places: Tensor | None = None) -> Tensor:
    """What a layer multiplies its weight with, one row for each sample and place.

    Args:
        layer: A linear layer or a convolution.
        inputs: Its input.
        places: The indices of the output positions of a convolution that are wanted. None for all.

    Returns:
        Groups, rows, and the inputs of one filter, in the order of the weight.

    Example:
        >>> convolution = nn.Conv2d(2, 3, kernel_size=2, padding=1)
        >>> image = torch.rand(4, 2, 5, 5)
        >>> rows = input_rows(convolution, image)
        >>> outputs = rows[0] @ convolution.weight.flatten(1).T + convolution.bias
        >>> torch.allclose(outputs, output_rows(convolution, convolution(image))[0], atol=1e-6)
        True
    """
    if not isinstance(layer, _ConvNd):
        return inputs.reshape(1, -1, inputs.shape[-1])
    sizes = len(layer.kernel_size)
    inputs = inputs if inputs.dim() == sizes + 2 else inputs[None]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    patches = nn.functional.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    for at, (size, step, spread) in enumerate(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True), 2):
        patches = patches.unfold(at, spread * (size - 1) + 1, step)[..., ::spread]
    kernel = tuple(range(2 + sizes, 2 + 2 * sizes))
    rows = patches.permute(1, 0, *range(2, 2 + sizes), *kernel)  # channels, samples, positions, kernel
    rows = rows.flatten(2, 1 + sizes).flatten(3)
    rows = rows if places is None else rows[:, :, places]
    channels, samples, positions, size = rows.shape
    rows = rows.reshape(layer.groups, channels // layer.groups, samples * positions, size)
    return rows.transpose(1, 2).flatten(2)


def output_rows(layer: nn.Module, outputs: Tensor, places: Tensor | None = None) -> Tensor:
    """What a layer gives, in the rows of :func:`input_rows`: groups, rows, and the outputs of one group."""
    if not isinstance(layer, _ConvNd):
        return outputs.reshape(1, -1, outputs.shape[-1])
    outputs = outputs if outputs.dim() == len(layer.kernel_size) + 2 else outputs[None]
    rows = outputs.flatten(2)
    rows = rows if places is None else rows[:, :, places]
    rows = rows.transpose(0, 1).flatten(1)
    return rows.reshape(layer.groups, -1, rows.shape[1]).transpose(1, 2)


def positions_in(layer: nn.Module, outputs: Tensor) -> int:
    """How many positions a convolution has in its output. 1 for a linear layer."""
    return int(outputs[0, 0].numel()) if isinstance(layer, _ConvNd) and outputs.dim() > 2 else 1


def chosen_places(layer: nn.Module, outputs: Tensor, count: int | None, seed: int) -> Tensor | None:
    """Draw positions in the output of a convolution, the same for every sample.

    Args:
        layer: The layer.
        outputs: Its output.
        count: How many. None for all.
        seed: Decides the draw.

    Returns:
        Indices in rising order. None for all positions.
    """
    there = positions_in(layer, outputs)
    if count is None or count >= there:
        return None
    drawn = torch.randperm(there, generator=torch.Generator().manual_seed(seed))[:count]
    return drawn.sort().values.to(outputs.device)
