"""Push the scales of BatchNorm, or whole filters, towards zero while the network trains."""

from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from lightning_prune.basics.checks import is_number
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.selection.filter_layout import by_filter, for_every_weight, transposed_groups
from lightning_prune.selection.parameters import identity, plain_name

Target = Literal["scales", "filters"]


class SparsityPenalty(CycleCallback):
    """Add the subgradient of a penalty to the gradients before each step, so that whole channels become small.

    With ``on="scales"`` the penalty is ``strength * |gamma|`` over the scales of all BatchNorm layers, as in network
    slimming. Prune with the criterion ``batch_norm_scale`` then. With ``on="filters"`` it is ``strength`` times the L2
    norm of each filter of a convolution and each row of a linear layer, a group lasso. The loss that is logged does not
    contain it. Dead channels have no subgradient.

    Reference: Liu et al., Learning Efficient Convolutional Networks through Network Slimming, 2017,
    https://arxiv.org/abs/1708.06519. The authors use 1e-4 for VGG-19 and 1e-5 for ResNet-164 and DenseNet-40, and train
    without the penalty after the prune. The group lasso follows Wen et al., Learning Structured Sparsity in Deep Neural
    Networks, 2016, https://arxiv.org/abs/1608.03665.

    Args:
        strength: The factor of the penalty, above 0.
        on: ``"scales"`` or ``"filters"``.
        cycles: Whether the penalty also holds in the cycles. If not, it holds in the dense run only.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if the network has no such parameters,
            or optimizes by hand.

    Example:
        >>> from lightning_prune import IterativePruning, Structures
        >>> from lightning_prune.criteria import batch_norm_scale
        >>> pruning = IterativePruning(cycles=1, granularity=Structures(), criterion=batch_norm_scale)
        >>> callbacks = [pruning, SparsityPenalty(strength=1e-4)]
    """

    def __init__(self, strength: float, on: Target = "scales", cycles: bool = False) -> None:
        if not (is_number(strength) and strength > 0):
            raise UserError(f"SparsityPenalty(strength={strength!r}) must be above 0, for instance 1e-4.")
        if on not in ("scales", "filters"):
            raise UserError(f"SparsityPenalty(on={on!r}) is unknown: give 'scales' or 'filters'.")
        self.strength, self.on, self.cycles = strength, on, cycles

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._targets = penalized(pl_module, self.on)
        if not self._targets:
            what = "BatchNorm with scales" if self.on == "scales" else "convolution or linear layer"
            raise UserError(
                f"SparsityPenalty(on={self.on!r}) has nothing to push: {type(pl_module).__name__} has no {what}."
            )
        if not pl_module.automatic_optimization:
            raise UserError(
                f"SparsityPenalty adds to the gradients before each step, and {type(pl_module).__name__} optimizes by "
                "hand. Add the penalty to its loss."
            )

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        if self.clock.cycle is not None and not self.cycles:
            return
        owned = {identity(one) for one in owned_by(optimizer)}
        for weight, transposed in self._targets:
            if weight.grad is not None and identity(weight) in owned:
                weight.grad.add_(subgradient(weight.detach(), transposed), alpha=self.strength)


def penalized(module: nn.Module, on: Target) -> list[tuple[nn.Parameter, int | None]]:
    """Find what a penalty pushes.

    Args:
        module: The network.
        on: ``"scales"`` or ``"filters"``.

    Returns:
        Each parameter, with None for scales, and the number of groups of a transposed convolution (or 0) for filters.
    """
    if on == "scales":
        layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
        return [(layer.weight, None) for layer in layers if isinstance(layer.weight, nn.Parameter)]
    transposed, names = transposed_groups(module), {id(p): plain_name(name) for name, p in module.named_parameters()}
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    weights: list[Any] = [layer.weight for layer in module.modules() if isinstance(layer, kinds)]
    return [(weight, transposed.get(names[id(weight)], 0)) for weight in weights if id(weight) in names]


def subgradient(weight: Tensor, transposed: int | None) -> Tensor:
    """The subgradient of a penalty of strength 1.

    Args:
        weight: Scales, or the weight of a convolution or a linear layer.
        transposed: None for the sum of the absolute values. Otherwise the sum of the norms of the filters, with the
            number of groups of a transposed convolution, 0 for any other layer.

    Returns:
        A tensor of the shape of the weight. It is 0 where an absolute value or a norm is 0.

    Example:
        >>> subgradient(torch.tensor([0.5, -2.0, 0.0]), None)
        tensor([ 1., -1.,  0.])
        >>> subgradient(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), 0)
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    if transposed is None:
        return weight.sign()
    norms = by_filter(weight, transposed).norm(dim=1)
    return weight / for_every_weight(torch.where(norms > 0, norms, 1), weight.shape, transposed)
