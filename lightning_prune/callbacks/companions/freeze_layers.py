"""Freeze the layers that the first retraining has moved least."""

import math
from typing import Any

import lightning.pytorch as pl
from torch import nn

from lightning_prune.basics.checks import is_number
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.companions.train_only import Still
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.selection.layer_types import is_normalization
from lightning_prune.selection.parameters import plain_name


class FreezeLayers(Still):
    """Freeze a fraction of the layers from the second cycle on: those that the first cycle has moved least.

    The score of a layer is ``|sum|W'| - sum|W|| / norm(W_dense)``. ``W`` is its weight after the first prune, ``W'``
    the same after the training of the first cycle. The layers with the smallest scores stand still in all later cycles,
    with their biases and with the norm that follows in the order of modules. Every prune masks them as it masks all
    layers. Frozen parameters have no gradient at the optimizer's step, as with :class:`TrainOnly`, and running
    statistics go on. The backward pass takes as long as without this callback.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural Networks,
    2025, https://arxiv.org/abs/2505.07411. The score is that of the authors' code. They measure it in a trial, the
    first block pruned and an epoch trained, and begin again from the dense network. Here the first trained cycle is the
    trial, and it counts.

    Args:
        fraction: The fraction of the layers with prunable weights, in (0, 1). The number is rounded up.

    Raises:
        ValueError: If the fraction lies outside its range. When the fit starts, if there is one cycle only.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> callbacks = [IterativePruning(cycles=5, retrain="1ep"), FreezeLayers(0.3)]
    """

    def __init__(self, fraction: float = 0.3) -> None:
        if not (is_number(fraction) and 0 < fraction < 1):
            raise UserError(f"FreezeLayers(fraction={fraction!r}) must lie in (0, 1).")
        self.fraction = fraction
        self.forget()

    def forget(self) -> None:
        super().forget()
        self._dense: dict[str, float] = {}  # norms of weights, by name
        self._pruned: dict[str, float] = {}  # sums of absolute values
        self._frozen: list[str] = []

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.clock.cycles < 2:
            raise UserError(
                "FreezeLayers measures in the first cycle and freezes from the second on, and there is one cycle. Give "
                "IterativePruning more cycles, or leave it out."
            )
        self._find_frozen(pl_module)

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        weights = self._weights(pl_module)
        if not self._dense:
            self._dense = {name: float(one.detach().norm()) for name, one in weights.items()}
        elif self._pruned and not self._frozen:
            scores = {name: self._score(name, one) for name, one in weights.items() if name in self._pruned}
            if any(scores.values()):  # else the cycle was not trained
                count = math.ceil(self.fraction * len(scores))
                self._frozen = sorted(scores, key=lambda name: scores[name])[:count]
                self.clock.note("frozen", {"layers": self._frozen, "scores": scores})
                self._find_frozen(pl_module)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        super().on_cycle_start(trainer, pl_module, cycle)
        if not self._frozen:
            masks = self.clock.masks
            weights = self._weights(pl_module)
            living = {name: one.detach() * masks[name] if name in masks else one for name, one in weights.items()}
            self._pruned = {name: float(one.detach().abs().sum()) for name, one in living.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"dense": self._dense, "pruned": self._pruned, "frozen": self._frozen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._dense, self._pruned = dict(state_dict["dense"]), dict(state_dict["pruned"])
        self._frozen = list(state_dict["frozen"])

    def _weights(self, pl_module: "pl.LightningModule") -> dict[str, nn.Parameter]:
        named = {plain_name(name): one for name, one in pl_module.named_parameters()}
        return {name: one for name, one in named.items() if name in self.clock.covered and one.dim() > 1}

    def _score(self, name: str, weight: nn.Parameter) -> float:
        moved = abs(float(weight.detach().abs().sum()) - self._pruned[name])
        return moved / self._dense[name] if self._dense.get(name) else 0.0

    def _find_frozen(self, pl_module: "pl.LightningModule") -> None:
        self._still = frozen_with(pl_module, self._frozen)


def frozen_with(module: nn.Module, names: list[str]) -> list[nn.Parameter]:
    """The parameters of layers, and of the norms that follow them in the order of modules.

    Args:
        module: The network.
        names: The names of the layers' weights.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
        >>> [tuple(one.shape) for one in frozen_with(network, ["0.weight"])]
        [(2, 2), (2,), (2,), (2,)]
    """
    wanted = {id(one) for name, one in module.named_parameters() if plain_name(name) in names}
    layers = [one for one in module.modules() if any(True for _ in one.parameters(recurse=False))]
    found: list[nn.Parameter] = []
    for place, layer in enumerate(layers):
        if any(id(one) in wanted for one in layer.parameters(recurse=False)):
            found += layer.parameters(recurse=False)
            behind = layers[place + 1 : place + 2]
            found += [one for norm in behind if is_normalization(type(norm)) for one in norm.parameters(recurse=False)]
    return found
