"""Start every cycle from weights whose channels give as much as those of the dense network."""

import torch
from torch import Tensor, nn

from lightning_prune.basics.checks import check_at_least
from lightning_prune.callbacks.starting_points.repairing.base import Repair
from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration
from lightning_prune.callbacks.starting_points.repairing.layer_sums import OutputSpread


class RescaleActivations(Repair):
    """Multiply every output channel at the start of a cycle, so that it spreads as it did in the dense network.

    The factor of a channel is the standard deviation of its outputs in the dense network over that in the pruned one,
    on the same training batches in evaluation mode. It multiplies the weights and the bias of the channel. Layers come
    in the order in which they run, each with inputs from layers that are rescaled already. A channel that has lost
    nearly everything would be blown up to noise. Its factor is drawn to 1, the more the weaker it is.
    ``EstimateBatchNorm`` beside this callback comes after it. Behind a layer whose BatchNorm is estimated again, the
    factors change next to nothing: the norm divides by the deviation itself.

    Reference: activation rescaling before BatchNorm is estimated again, a preprint of 2026,
    https://arxiv.org/abs/2605.21426, of which we could read the abstract only. That weak channels are drawn to 1 is
    from there. The formula is ours.

    Args:
        batches: The number of training batches on each process, at least 1.
        shrink: How much of its deviation a channel may have lost to be called weak, at least 0. A channel that kept
            the share ``r`` gets the factor ``1 + (1/r - 1) r² / (r² + shrink²)``. 0: every channel gets ``1/r``.
        seed: Decides the batches, at least 0.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if no layer can be repaired, or if
            training steps cannot be tried out (manual optimization, streamed data, sharded weights).

    Example:
        >>> from lightning_prune import EstimateBatchNorm, IterativePruning
        >>> callbacks = [IterativePruning(cycles=10), RescaleActivations(batches=20), EstimateBatchNorm()]
    """

    def __init__(self, batches: int = 10, shrink: float = 0.1, seed: int = 0) -> None:
        super().__init__(batches, seed)
        check_at_least(self, 0, {"shrink": shrink})
        self.shrink = shrink

    def repair_(self, calibration: Calibration) -> None:
        with calibration.of_dense():
            wanted = _deviations(calibration, calibration.order)
        for name in calibration.order:
            layer = calibration.layers[name]
            now = _deviations(calibration, [name])[name]
            factors = channel_gains(now, wanted[name], self.shrink).to(layer.weight)
            with torch.no_grad():
                layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.dim() - 1)))
                if layer.bias is not None:
                    layer.bias.mul_(factors)


def channel_gains(now: Tensor, wanted: Tensor, shrink: float) -> Tensor:
    """The factors of channels.

    Args:
        now: The standard deviation of each channel in the pruned network.
        wanted: The same in the dense network.
        shrink: At which share of its deviation a channel is weak, at least 0.

    Returns:
        A factor for each channel. 1 where either gives nothing.

    Example:
        >>> channel_gains(torch.tensor([0.5, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0]), shrink=0.0)
        tensor([2., 1., 1.])
    """
    left = now / wanted.clamp(min=torch.finfo(wanted.dtype).tiny)
    trust = left.square() / (left.square() + shrink**2)
    gains = 1 + (wanted / now.clamp(min=torch.finfo(now.dtype).tiny) - 1) * trust
    return torch.where((now > 0) & (wanted > 0), gains, torch.ones_like(gains))


def _deviations(calibration: Calibration, names: list[str]) -> dict[str, Tensor]:
    spreads = {name: OutputSpread(calibration.layers[name]) for name in names}
    of_module = {id(one): spreads[name] for name in names for one in calibration.layers[name].modules}

    def add(_: int, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
        of_module[id(module)].add(module, outputs)

    calibration.watch(names, add)
    return {name: one.deviation(calibration) for name, one in spreads.items()}
