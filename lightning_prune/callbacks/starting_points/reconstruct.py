"""Start every cycle from weights that are fitted to the outputs of the dense network."""

from typing import Literal

import torch
from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one, check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.starting_points.repairing.base import Repair
from lightning_prune.callbacks.starting_points.repairing.block_steps import fit_blocks_
from lightning_prune.callbacks.starting_points.repairing.calibration import Calibration
from lightning_prune.callbacks.starting_points.repairing.fits import channel_factors, masked_least_squares
from lightning_prune.callbacks.starting_points.repairing.layer_sums import DenseOutputs
from lightning_prune.callbacks.starting_points.repairing.repairable import Layer

Method = Literal["least_squares", "regression", "scale", "blocks"]
METHODS = ("least_squares", "regression", "scale", "blocks")


class Reconstruct(Repair):
    """Fit the living weights at the start of every cycle, so that the layers give what the dense network's layers gave.

    Layers are repaired one after the other, in the order in which they run. Each gets the inputs that the repaired
    layers before it give, and its outputs are compared with those of the network before the first prune, on the same
    training batches in evaluation mode. No label is used. Masks hold, and parameters of norms, running statistics and
    the state of the optimizers stay as they are. ``EstimateBatchNorm`` beside this callback estimates the statistics
    for the repaired weights. Repaired are linear layers and convolutions whose weights are prunable. Others are left as
    they are. The dense network lies in CPU memory and in every checkpoint.

    Reference: Luo, Wu & Lin, ThiNet, 2017, https://arxiv.org/abs/1707.06342 (``"scale"``). He, Zhang & Sun, Channel
    Pruning for Accelerating Very Deep Neural Networks, 2017, https://arxiv.org/abs/1707.06168 (``"regression"``).
    Wagner, Roux, Zimmer & Pokutta, A Free Lunch in LLM Compression, 2025, https://arxiv.org/abs/2510.14444
    (``"blocks"``; its optimizer and number of steps are unconfirmed, those here are ours). The first two papers remove
    channels. The fits to single weights, and the pull to the weights that the prune has left, are ours.

    Args:
        method: ``"least_squares"`` fits the living weights of every output, and keeps the biases. ``"regression"``
            fits the biases, too, in layers that have them. ``"scale"`` fits one factor for each input channel.
            ``"blocks"`` trains ``window`` layers together by gradient steps, with the nonlinearities between them.
        batches: The number of training batches on each process, at least 1.
        positions: How many positions of a convolution's output are looked at in each batch. None for all. The papers
            draw 10. Not used by ``"blocks"``.
        ridge: How strongly the fit is pulled to the present weights, above 0, as a fraction of the mean square of the
            inputs. The less data, the larger it has to be. Not used by ``"blocks"``.
        window: For ``"blocks"``: the number of layers that are trained together, at least 1.
        steps: For ``"blocks"``: the number of steps for each block, at least 1.
        learning_rate: For ``"blocks"``: the rate of Adam, above 0.
        seed: Decides the batches and the positions, at least 0.

    Raises:
        ValueError: If an argument is unknown or lies outside its range. When the fit starts, if no layer can be
            repaired, or if training steps cannot be tried out (manual optimization, streamed data, sharded weights).

    Example:
        >>> from lightning_prune import EstimateBatchNorm, IterativePruning, OneShot
        >>> pruning = IterativePruning(cycles=1, retrain="0ep", sparsity=OneShot(0.8))
        >>> callbacks = [pruning, Reconstruct("regression", batches=20), EstimateBatchNorm()]
    """

    def __init__(
        self,
        method: Method = "least_squares",
        batches: int = 10,
        positions: int | None = 10,
        ridge: float = 0.01,
        window: int = 2,
        steps: int = 100,
        learning_rate: float = 0.001,
        seed: int = 0,
    ) -> None:
        if method not in METHODS:
            raise UserError(f"Reconstruct(method={method!r}) is unknown: give one of {', '.join(METHODS)}.")
        super().__init__(batches, seed)
        if positions is not None:
            check_at_least_one(self, "positions", positions)
        check_at_least_one(self, "window", window)
        check_at_least_one(self, "steps", steps)
        check_positive(self, {"ridge": ridge, "learning_rate": learning_rate})
        self.method: Method = method
        self.positions = positions
        self.ridge = ridge
        self.window = window
        self.steps = steps
        self.learning_rate = learning_rate

    def repair_(self, calibration: Calibration) -> None:
        if self.method == "blocks":
            fit_blocks_(calibration, self.window, self.steps, self.learning_rate)
            return
        outputs = DenseOutputs(calibration, self.positions, self.seed)
        for name in calibration.order:
            gram, products = outputs.sums(name)
            self._fit_(calibration.layers[name], calibration.living(name), gram, products)

    def _fit_(self, layer: Layer, living: Tensor, gram: Tensor, products: Tensor) -> None:
        """Set the weight of a layer, and with ``"regression"`` its bias."""
        weight = layer.grouped(layer.weight.detach().to(gram))
        alive = layer.grouped(living.to(gram.device))
        bias = torch.zeros_like(weight[..., 0]) if layer.bias is None else layer.bias.detach().to(weight)
        bias = bias.reshape(weight.shape[:2])
        for group in range(layer.groups):
            sums = gram[group], products[group]
            weight[group], bias[group] = self._fitted(layer, sums, weight[group], bias[group], alive[group])
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(layer.weight.shape))
            if layer.bias is not None:
                layer.bias.copy_(bias.flatten())

    def _fitted(
        self, layer: Layer, sums: tuple[Tensor, Tensor], weight: Tensor, bias: Tensor, living: Tensor
    ) -> tuple[Tensor, Tensor]:
        gram, products = sums
        if self.method == "regression" and layer.bias is not None:
            whole = torch.cat([weight, bias[:, None]], 1)
            alive = torch.cat([living, torch.ones_like(living[:, :1])], 1)
            fitted = masked_least_squares(gram, products, whole, alive, self.ridge, free=1)
            return fitted[:, :-1], fitted[:, -1]
        without_bias = products[:-1] - gram[:-1, -1:] * bias
        gram = gram[:-1, :-1]
        if self.method == "scale":
            channels = layer.weight.shape[1]
            factors = channel_factors(gram, without_bias, weight, channels, self.ridge)
            return weight * factors.repeat_interleave(len(gram) // channels), bias
        return masked_least_squares(gram, without_bias, weight, living, self.ridge), bias
