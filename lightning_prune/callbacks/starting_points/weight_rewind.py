"""Start every cycle at the weights of an earlier point of the dense run."""

from collections.abc import Mapping
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.starting_points.at_the_point import AtThePoint
from lightning_prune.masks.optimizer_state import mask_moments_, put_back_, snapshot_of
from lightning_prune.schedules.durations import Duration, parse_duration
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded, placed, reshard, whole


class WeightRewind(AtThePoint):
    """Rewind parameters and buffers to an earlier point of the dense run at the start of every cycle.

    Buffers include the running statistics of BatchNorm. The masks are applied afterwards, and the state of the
    optimizers is reset or rewound. The scale of a ``GradScaler`` (``Trainer(precision="16-mixed")``) is kept, because
    the scale adapts to the gradients by itself. Without a learning-rate policy beside this callback, the learning rate
    is replayed from the rewind point on (``LRRewind(to=...)``). The snapshot of the weights lies in CPU memory. Each
    process holds the whole snapshot, even if the weights are sharded.

    Reference: Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020,
    https://arxiv.org/abs/1912.05671. Renda, Frankle & Carbin, Comparing Rewinding and Fine-tuning in Neural Network
    Pruning, 2020, https://arxiv.org/abs/2003.02389.

    Args:
        to: The point of the dense run: ``"2ep"`` or ``"500it"``. 0 is for the initial weights (Frankle & Carbin, The
            Lottery Ticket Hypothesis, 2019).
        batch_norm: The treatment of the running statistics of BatchNorm. ``"rewind"`` takes them back with the weights,
            as Frankle et al. do. ``"keep"`` leaves the statistics of the last step. ``EstimateBatchNorm`` beside this
            callback estimates them again, for the rewound weights that are alive.
        moments: The treatment of the state of the optimizers, such as momentum. ``"reset"`` forgets the state, as
            Frankle et al. do. ``"rewind"`` takes the state back to the rewind point with the weights, as the code of
            Renda et al. does. The moments of dead weights are zero. ``"rewind"`` makes checkpoints larger by the size
            of this state.

    Raises:
        ValueError: If an argument is unknown or no duration. When the fit starts, if ``to`` lies at or after the end of
            the dense run, or if the moments of sharded weights should be rewound.

    Example:
        >>> WeightRewind(to="500it").rewind_point
        Duration(amount=500, unit='it')
    """

    def __init__(
        self,
        to: str | int,
        batch_norm: Literal["rewind", "keep"] = "rewind",
        moments: Literal["reset", "rewind"] = "reset",
    ) -> None:
        if moments not in ("reset", "rewind"):
            raise UserError(f"WeightRewind(moments={moments!r}) is unknown: give 'reset' or 'rewind'.")
        if batch_norm not in ("rewind", "keep"):
            raise UserError(f"WeightRewind(batch_norm={batch_norm!r}) is unknown: give 'rewind' or 'keep'.")
        self.to = to
        self.batch_norm = batch_norm
        self.moments = moments
        self.rewind_point: Duration = parse_duration(to, "WeightRewind(to")
        self.forget()

    def forget(self) -> None:
        self._snapshot: dict[str, Tensor] = {}
        self._moments: list[dict[int, Any]] = []  # of each optimizer

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.moments == "rewind" and any(map(is_sharded, pl_module.parameters())):
            raise UserError(
                "WeightRewind(moments='rewind') needs whole weights, and these are sharded: train with DDP, or leave "
                "moments at 'reset'."
            )
        super().on_train_start(trainer, pl_module)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        if not self._snapshot:
            raise RuntimeError(
                f"WeightRewind(to={self.to!r}) has no snapshot: the dense run ended at step {cycle.first_step}. Lower "
                "`to`, or train the dense network for longer (Trainer(max_epochs=...))."
            )
        self._restore(pl_module)
        for place, optimizer in enumerate(trainer.optimizers):
            put_back_(optimizer, self._moments[place] if place < len(self._moments) else {})
        if self.moments == "rewind":
            self._mask_moments(trainer, pl_module)

    def _mask_moments(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """The moments of weights that were alive at the rewind point, and are dead now."""
        weights = {plain_name(name): weight for name, weight in pl_module.named_parameters()}
        masks: dict[Tensor, Tensor] = {weights[name]: mask for name, mask in self.clock.masks.items()}
        for optimizer in trainer.optimizers:
            mask_moments_(optimizer, masks)

    def _restore(self, pl_module: "pl.LightningModule") -> None:
        tensors = _tensors(pl_module)
        known = {n: t for n, t in tensors.items() if n in self._snapshot and t.shape == self._snapshot[n].shape}
        if unknown := sorted(tensors.keys() - known.keys()):
            rank_zero_warn(
                f"WeightRewind(to={self.to!r}) leaves {', '.join(unknown)} as they are: at the rewind point they did "
                "not exist, or had another shape."
            )
        kept = _statistics(pl_module) if self.batch_norm == "keep" else set()
        with torch.no_grad():
            for name, tensor in known.items():
                if name not in kept:
                    tensor.copy_(placed(self._snapshot[name], tensor))

    @property
    def written(self) -> str:
        """How it was written, for errors."""
        return f"WeightRewind(to={self.to!r}{', moments=' + repr(self.moments) if self.moments == 'rewind' else ''})"

    def lacks(self, state: Mapping[str, Any]) -> bool:
        """Whether the state of another fit's callback lacks what this one goes back to."""
        without = self.moments == "rewind" and not state.get("moments")
        return state["to"] != str(self.rewind_point) or not state["snapshot"] or without

    def state_dict(self) -> dict[str, Any]:
        return {"to": str(self.rewind_point), "snapshot": self._snapshot, "moments": self._moments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._snapshot = dict(state_dict["snapshot"])
        self._moments = list(state_dict.get("moments", [])) if self.moments == "rewind" else []

    @property
    def has_taken(self) -> bool:
        return bool(self._snapshot)

    def take(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        # On the CPU: the snapshot lives as long as the run, next to a network that may fill the device.
        tensors = _tensors(pl_module)
        self._snapshot = {name: whole(tensor).detach().cpu().clone() for name, tensor in tensors.items()}
        if self.moments == "rewind":
            self._moments = [snapshot_of(optimizer) for optimizer in trainer.optimizers]


def _tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    """All parameters and all buffers, saved with the module or not."""
    reshard(module)
    return {plain_name(name): tensor for name, tensor in [*module.named_parameters(), *module.named_buffers()]}


def _statistics(module: torch.nn.Module) -> set[str]:
    """The names of the running statistics of normalization layers."""
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, _NormBase)]
    return {plain_name(f"{name}.{leaf}") for name, layer in layers for leaf, _ in layer.named_buffers()}
