"""Set the weakest filters to zero after every epoch of the dense run, and let them grow again."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lightning_prune.basics.checks import is_number
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.masks.masks import keep_top
from lightning_prune.selection.filter_layout import by_filter, for_every_weight, transposed_groups
from lightning_prune.selection.prunable import Prunable, Selection
from lightning_prune.selection.sharding import is_sharded


class SoftFilterPruning(CycleCallback):
    """Set the filters of smallest L2 norm to zero before the dense run and after each of its epochs.

    Nothing holds these filters at zero: the next epoch may let them grow again. This is the only callback here after
    which zeros come back. The prune for good is that of ``IterativePruning``, at the end of the dense run. Give it
    ``cycles=1, retrain="0ep"`` and the same fraction, as the authors do, or a longer ``retrain``. BatchNorm is left as
    it is.

    Reference: He et al., Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks, 2018,
    https://arxiv.org/abs/1808.06866. The authors set 10 to 30 % of the filters of every convolution to zero.

    Args:
        fraction: The fraction of the filters of each convolution that is set to zero, in (0, 1), rounded down.
        prunable: Selects the weights. Of these, the weights of convolutions count.

    Raises:
        ValueError: If ``fraction`` lies outside its range. When the fit starts, if no convolution is selected, or if
            the weights are sharded.

    Example:
        >>> from lightning_prune import IterativePruning, OneShot, Structures, per_group
        >>> pruning = IterativePruning(
        ...     cycles=1, retrain="0ep", sparsity=OneShot(0.3), measure="units", granularity=Structures(),
        ...     allocation=per_group,
        ... )
        >>> callbacks = [pruning, SoftFilterPruning(fraction=0.3)]
    """

    def __init__(self, fraction: float, prunable: Selection = Prunable()) -> None:
        if not (is_number(fraction) and 0 < fraction < 1):
            raise UserError(f"SoftFilterPruning(fraction={fraction!r}) must lie strictly between 0 and 1, such as 0.3.")
        self.fraction, self.prunable = fraction, prunable

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._transposed = transposed_groups(pl_module)
        selected = self.prunable(pl_module).weights
        self._weights = {name: weight for name, weight in selected.items() if weight.dim() > 2}
        if not self._weights:
            raise UserError(
                f"SoftFilterPruning(fraction={self.fraction}) finds no convolution among the prunable weights of "
                f"{type(pl_module).__name__}. Remove this callback, or select convolutions with prunable=."
            )
        if any(map(is_sharded, self._weights.values())):
            raise UserError("SoftFilterPruning ranks whole filters, and these weights are sharded: train with DDP.")
        if trainer.global_step == 0:  # a resumed fit has done it
            self._zero_()

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.clock.cycle is None:
            self._zero_()

    def _zero_(self) -> None:
        for name, weight in self._weights.items():
            zero_weakest_(weight, self.fraction, self._transposed.get(name, 0))

    def state_dict(self) -> dict[str, Any]:
        return {}


def zero_weakest_(weight: Tensor, fraction: float, transposed: int = 0) -> None:
    """Set the filters of smallest L2 norm to zero, in place.

    Args:
        weight: The weight of a convolution.
        fraction: The fraction of its filters, in [0, 1], rounded down. Of equal norms, those with the highest index go.
        transposed: The number of groups of a transposed convolution. 0 for any other layer.

    Example:
        >>> weight = torch.tensor([3.0, 1.0, 2.0]).view(3, 1, 1, 1)
        >>> zero_weakest_(weight, fraction=0.4)
        >>> weight.flatten().tolist()
        [3.0, 0.0, 2.0]
    """
    with torch.no_grad():
        norms = by_filter(weight, transposed).norm(dim=1)
        living = keep_top(norms, len(norms) - int(fraction * len(norms)))
        weight.mul_(for_every_weight(living, weight.shape, transposed))
