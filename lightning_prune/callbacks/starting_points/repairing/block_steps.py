"""Fit blocks of layers to what the dense network gives behind them, by a few gradient steps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration


def fit_blocks_(calibration: Calibration, window: int, steps: int, learning_rate: float) -> None:
    """Train the layers of one block after the other, in place.

    What the block gives is what flows into the first layer behind it, and for the last block the output of its last
    layer. The loss is the mean squared difference from the dense network. The blocks before it are repaired already.

    Args:
        calibration: The networks and the batches.
        window: The number of layers in a block.
        steps: The number of steps for each block. Batches take turns.
        learning_rate: The rate of Adam.
    """
    order = calibration.order
    for start in range(0, len(order), window):
        block, behind = order[start : start + window], order[start + window : start + window + 1]
        at, inputs = (behind or block[-1:])[0], bool(behind)
        with calibration.of_dense():
            wanted = [_detached(calibration.until(at, index, inputs=inputs)) for index in range(calibration.batches)]
        _train_(calibration, block, at, inputs, wanted, steps, learning_rate)


def _train_(
    calibration: Calibration,
    block: Sequence[str],
    at: str,
    inputs: bool,
    wanted: Sequence[Tensor | None],
    steps: int,
    learning_rate: float,
) -> None:
    trained = _parameters(calibration, block)
    every = list(calibration.source.module.parameters())
    required = [one.requires_grad for one in every]
    optimizer = torch.optim.Adam(trained.values(), lr=learning_rate)
    for one in every:
        one.requires_grad_(any(one is other for other in trained.values()))
    for step in range(steps):
        index = step % calibration.batches
        given, target = calibration.until(at, index, inputs=inputs), wanted[index]
        if given is None or target is None:
            gradients = [torch.zeros_like(one) for one in trained.values()]
        else:
            loss = nn.functional.mse_loss(given.float(), target.to(given.device).float())
            gradients = list(
                torch.autograd.grad(loss, list(trained.values()), allow_unused=True, materialize_grads=True)
            )
        for (name, one), gradient in zip(trained.items(), gradients, strict=True):
            mask = calibration.masks.get(name)
            mean = calibration.source.summed(gradient)
            one.grad = mean if mask is None else mean * mask.to(mean)
        optimizer.step()
    for one, needed in zip(every, required, strict=True):
        one.requires_grad_(needed)
        one.grad = None


def _parameters(calibration: Calibration, block: Sequence[str]) -> dict[str, nn.Parameter]:
    """The weights and biases of the layers of a block."""
    found: dict[str, nn.Parameter] = {}
    for name in block:
        layer = calibration.layers[name]
        found[name] = layer.weight
        if layer.bias is not None and layer.bias_name is not None:
            found[layer.bias_name] = layer.bias
    return found


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().cpu()
