"""Start every cycle with the parameters of the normalization layers of an earlier point, and keep all other weights."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.starting_points.at_the_point import AtThePoint
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.schedules.durations import Duration, parse_duration
from lightning_prune.selection.layer_types import is_normalization
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import placed, reshard, whole


class NormRewind(AtThePoint):
    """Rewind the parameters of normalization layers at the start of every cycle, and keep all other weights.

    The scales and shifts of BatchNorm, LayerNorm and the like go back to an earlier point of the dense run, by default
    to its start, where most networks have ones and zeros. So every cycle begins with the signs and magnitudes that the
    prune has left, and with new scales that can change them. Running statistics stay, and training adapts them. The
    masks are applied afterwards, and the state of the optimizers is reset. Without a learning-rate policy beside this
    callback, the learning rates of the dense run are replayed from the same point.

    Reference: Gadhikar & Burkholz, Masks, Signs, and Learning Rate Rewinding, 2024, https://arxiv.org/abs/2402.19262.
    Which statistics the authors keep is unconfirmed.

    Args:
        to: The point of the dense run: ``"2ep"`` or ``"500it"``. 0 is for the initial parameters.

    Raises:
        ValueError: If ``to`` is no duration. When the fit starts, if the network has no normalization layer with
            parameters, or if ``to`` lies at or after the end of the dense run.

    Example:
        >>> NormRewind().rewind_point
        Duration(amount=0, unit='ep')
    """

    def __init__(self, to: str | int = 0) -> None:
        self.to = to
        self.rewind_point: Duration = parse_duration(to, "NormRewind(to")
        self.forget()

    def forget(self) -> None:
        self._parameters: dict[str, Tensor] = {}

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not parameters_of_norms(pl_module):
            raise UserError(
                f"NormRewind has nothing to rewind: {type(pl_module).__name__} has no normalization layer with "
                "parameters. Leave it out."
            )
        super().on_train_start(trainer, pl_module)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        if not self._parameters:
            raise RuntimeError(
                f"NormRewind(to={self.to!r}) has nothing to go back to: the dense run ended at step "
                f"{cycle.first_step}. Lower `to`, or train the dense network for longer (Trainer(max_epochs=...))."
            )
        with torch.no_grad():
            for name, parameter in parameters_of_norms(pl_module).items():
                parameter.copy_(placed(self._parameters[name], parameter))
        for optimizer in trainer.optimizers:
            reset_(optimizer)

    def state_dict(self) -> dict[str, Any]:
        return {"to": str(self.rewind_point), "parameters": self._parameters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._parameters = dict(state_dict["parameters"])

    @property
    def has_taken(self) -> bool:
        return bool(self._parameters)

    def take(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        reshard(pl_module)
        found = parameters_of_norms(pl_module)
        self._parameters = {name: whole(one).detach().cpu().clone() for name, one in found.items()}


def parameters_of_norms(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of normalization layers, by name.

    Args:
        module: The network.

    Example:
        >>> list(parameters_of_norms(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))))
        ['1.weight', '1.bias']
    """
    layers = [layer for layer in module.modules() if is_normalization(type(layer))]
    wanted = {id(one) for layer in layers for one in layer.parameters(recurse=False)}
    return {plain_name(name): one for name, one in module.named_parameters() if id(one) in wanted}
