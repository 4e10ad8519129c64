"""Fit blocks of layers to what the dense network gives behind them, by a few gradient steps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration


def fit_blocks_(calibration: Calibration, window: int, steps: int, learning_rate: float) -> None:
    """Train the layers of one block after the other, in place.

    What the block gives is what flows into the first layer behind it that depends on it, and for the last block the
    output of its last layer. The loss is the mean squared difference from the dense network. The blocks before it are
    repaired already.

    Args:
        calibration: The networks and the batches.
        window: The number of layers in a block.
        steps: The number of steps for each block. Batches take turns.
        learning_rate: The rate of Adam.
    """
    order = calibration.order
    for start in range(0, len(order), window):
        block, behind = order[start : start + window], order[start + window :]
        trained = _parameters(calibration, block)
        with _only_these_required(calibration.source.module, trained.values()):
            seam = _seam(calibration, block, behind)
            with calibration.of_dense(), torch.no_grad():
                wanted = [_on_cpu(calibration.until(*seam, index)) for index in range(calibration.batches)]
            _train_(calibration, trained, seam, wanted, steps, learning_rate)


def _seam(calibration: Calibration, block: Sequence[str], behind: Sequence[str]) -> tuple[str, bool]:
    """Where the outputs of a block are compared: the name of a layer, and whether its input counts or its output.

    The next layer that runs need not be behind the block: it may lie on a shortcut beside it.
    """
    for name in behind:
        found = calibration.until(name, True, 0)
        if found is not None and found.requires_grad:
            return name, True
    return block[-1], False


def _train_(
    calibration: Calibration,
    trained: Mapping[str, nn.Parameter],
    seam: tuple[str, bool],
    wanted: Sequence[Tensor | None],
    steps: int,
    learning_rate: float,
) -> None:
    optimizer = torch.optim.Adam(trained.values(), lr=learning_rate)
    for step in range(steps):
        index = step % calibration.batches
        given, target = calibration.until(*seam, index), wanted[index]
        if given is None or target is None or not given.requires_grad:
            gradients = [torch.zeros_like(one) for one in trained.values()]
        else:
            loss = nn.functional.mse_loss(given.float(), target.to(given.device).float())
            wrt = list(trained.values())
            gradients = list(torch.autograd.grad(loss, wrt, allow_unused=True, materialize_grads=True))
        for (name, one), gradient in zip(trained.items(), gradients, strict=True):
            mask = calibration.masks.get(name)
            total = calibration.source.summed(gradient)  # Adam does not care for the number of processes
            one.grad = total if mask is None else total * mask.to(total)
        optimizer.step()


@contextmanager
def _only_these_required(module: nn.Module, wanted: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let gradients be taken by some parameters only, and drop the gradients afterwards."""
    every, chosen = list(module.parameters()), {id(one) for one in wanted}
    before = [one.requires_grad for one in every]
    for one in every:
        one.requires_grad_(id(one) in chosen)
    try:
        yield
    finally:
        for one, needed in zip(every, before, strict=True):
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


def _on_cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().cpu()
