"""Go on from the best weights of the dense run or the cycle that ends, and not from its last ones."""

from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import placed, reshard, whole


class BestWeights(CycleCallback):
    """Let every prune begin from the best weights of the dense run or the cycle that ends.

    After each validation the weights and buffers are remembered, on the CPU, if the metric is the best since the last
    prune. They are put back before the next prune looks at the network, and the state of the optimizers is reset. The
    last cycle keeps its last weights: a ``ModelCheckpoint(monitor=...)`` saves its best ones.

    Reference: Lin et al., HRank: Filter Pruning using High-Rank Feature Map, 2020, https://arxiv.org/abs/2002.10179,
    whose code begins each layer from the best checkpoint of the layer before. It chooses by the accuracy on the test
    set. Here it is a metric of the validation.

    Args:
        monitor: The name of a metric that the module logs in validation.
        mode: Whether the best value is the highest (``"max"``) or the lowest (``"min"``).

    Raises:
        ValueError: If ``mode`` is unknown, or the metric is not logged. When the fit starts, if ``Shrink(at="cycles")``
            is beside it, which changes the sizes of the weights.

    Example:
        >>> from lightning_prune import IterativePruning, LinearRestart
        >>> callbacks = [IterativePruning(cycles=13, retrain="30ep"), LinearRestart(), BestWeights("val_accuracy")]
    """

    def __init__(self, monitor: str = "val_accuracy", mode: Literal["max", "min"] = "max") -> None:
        if mode not in ("max", "min"):
            raise UserError(f"BestWeights(mode={mode!r}) is unknown: give 'max' or 'min'.")
        self.monitor = monitor
        self.mode = mode
        self.forget()

    def forget(self) -> None:
        self._value: float | None = None
        self._best: dict[str, Tensor] = {}

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        for one in trainer.callbacks:  # type: ignore[attr-defined]
            if type(one).__name__ == "Shrink" and getattr(one, "at", "") == "cycles":
                raise UserError(
                    "BestWeights puts back weights of earlier sizes, which Shrink(at='cycles') changes: give "
                    "Shrink(at='end'), or leave one of them out."
                )

    def on_validation_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.monitor not in trainer.callback_metrics:
            raise UserError(
                f"BestWeights(monitor={self.monitor!r}) is not logged in validation. Logged are: "
                f"{', '.join(sorted(trainer.callback_metrics)) or 'none'}."
            )
        # The first process decides: where a metric is not synchronized, each one has another value.
        value = float(trainer.strategy.broadcast(float(trainer.callback_metrics[self.monitor])))
        if self._value is None or (value > self._value if self.mode == "max" else value < self._value):
            self._value = value
            reshard(pl_module)
            self._best = {name: whole(one).detach().cpu().clone() for name, one in _tensors(pl_module).items()}

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not self._best:
            rank_zero_warn(
                f"BestWeights(monitor={self.monitor!r}) saw no validation since the last prune, so the last weights "
                "stay. Validate at least once a cycle: Trainer(check_val_every_n_epoch=...)."
            )
            return
        with torch.no_grad():
            for name, one in _tensors(pl_module).items():
                one.copy_(placed(self._best[name].to(one.device), one))
        for optimizer in trainer.optimizers:
            reset_(optimizer)
        self.forget()

    def state_dict(self) -> dict[str, Any]:
        return {"value": self._value, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._value, self._best = state_dict["value"], dict(state_dict["best"])


def _tensors(module: "pl.LightningModule") -> dict[str, Tensor]:
    """The parameters and buffers of a module, by name."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {plain_name(name): one for name, one in named.items()}
