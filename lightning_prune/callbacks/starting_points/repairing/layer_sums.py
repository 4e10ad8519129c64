"""Add up what a least-squares fit needs: the inputs of the pruned layer against the outputs of the dense one."""

import torch
from torch import Tensor, nn

from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration
from lightning_prune.callbacks.starting_points.repairing.repairable import (
    Layer,
    chosen_places,
    input_rows,
    output_rows,
)


class DenseOutputs:
    """The outputs of all layers of the dense network, at positions that are drawn.

    Args:
        calibration: The networks and the batches.
        places: How many positions of a convolution's output in each batch. None for all.
        seed: Decides the positions.
    """

    def __init__(self, calibration: Calibration, places: int | None, seed: int) -> None:
        self._calibration, self._places, self._seed = calibration, places, seed
        self._rows: dict[str, list[Tensor]] = {name: [] for name in calibration.order}
        names = {id(one): name for name in calibration.order for one in calibration.layers[name].modules}

        def keep(_: int, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
            rows = self._rows[names[id(module)]]
            places = chosen_places(module, outputs, self._places, self._seed + len(rows))
            rows.append(output_rows(module, outputs, places).float().cpu())

        with calibration.of_dense():
            calibration.watch(calibration.order, keep)

    def sums(self, name: str) -> tuple[Tensor, Tensor]:
        """Compare the inputs that a layer gets now with the outputs of the dense network.

        Args:
            name: The name of the layer.

        Returns:
            ``XᵀX`` and ``XᵀY`` of each group, in float64, over all processes. ``X`` has a last column of ones.
        """
        layer = self._calibration.layers[name]
        gram, products = _empty(layer)

        def add(call: int, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
            places = chosen_places(module, outputs, self._places, self._seed + call)
            rows = input_rows(module, inputs, places).to(gram)
            rows = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], 2)
            gram.add_(rows.transpose(1, 2) @ rows)
            products.add_(rows.transpose(1, 2) @ self._rows[name][call].to(gram))

        self._calibration.watch([name], add)
        return self._calibration.source.summed(gram), self._calibration.source.summed(products)


class OutputSpread:
    """The standard deviation of each output channel of a layer, over samples, positions, batches and processes.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Layer) -> None:
        self._sums = layer.weight.new_zeros(3, len(layer.weight), dtype=torch.float64, device=wide_device(layer.weight))

    def add(self, module: nn.Module, outputs: Tensor) -> None:
        """Add a batch of outputs."""
        rows = output_rows(module, outputs).to(self._sums).transpose(0, 1).flatten(1)  # groups side by side
        self._sums += torch.stack([torch.full_like(rows[0], len(rows)), rows.sum(0), rows.square().sum(0)])

    def deviation(self, calibration: Calibration) -> Tensor:
        """The standard deviations. 0 where nothing was seen."""
        count, total, squares = calibration.source.summed(self._sums)
        count = count.clamp(min=1)
        variances: Tensor = squares / count - (total / count).square()
        return variances.clamp(min=0).sqrt()


def wide_device(tensor: Tensor) -> torch.device:
    """Where float64 can be computed: the device of a tensor, or the CPU beside an Apple GPU."""
    return torch.device("cpu") if tensor.device.type == "mps" else tensor.device


def _empty(layer: Layer) -> tuple[Tensor, Tensor]:
    groups, outputs, inputs = layer.grouped(layer.weight).shape
    gram = torch.zeros(groups, inputs + 1, inputs + 1, dtype=torch.float64, device=wide_device(layer.weight))
    return gram, gram.new_zeros(groups, inputs + 1, outputs)
