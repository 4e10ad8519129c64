"""Start every cycle at fresh magnitudes with the signs of a trained network."""

from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.starting_points.initializations import Initialization
from lightning_prune.callbacks.starting_points.norm_rewind import parameters_of_norms
from lightning_prune.callbacks.starting_points.recorded_weights import RecordedWeights
from lightning_prune.callbacks.starting_points.reinitialize import FreshStart
from lightning_prune.masks.signs import with_signs
from lightning_prune.selection.parameters import plain_name


class SignedReinitialize(FreshStart):
    """Draw all weights again at the start of every cycle, and give them the signs of the trained ticket.

    The masks and the signs are then all that is left of the training before. The control with the mask alone is
    :class:`Reinitialize` with the same masks and the same seed: it draws the same magnitudes.

    All parameters take the signs of the trained network, biases too, but for those of normalization layers, which are
    drawn as a new network has them. Where the trained weight is zero, the fresh one is zero. The rest is as with
    ``Reinitialize``: the statistics of BatchNorm and the state of the optimizers are reset, frozen parameters stay, and
    the dense learning rates are replayed unless a policy says otherwise.

    Reference: Oh, Baik & Lee, Find A Winning Sign: Sign Is All We Need to Win the Lottery, 2025,
    https://arxiv.org/abs/2504.05357. The signs of biases and the parameters of BatchNorm are as in the authors' code.
    Gadhikar & Burkholz, Masks, Signs, and Learning Rate Rewinding, 2024, https://arxiv.org/abs/2402.19262.

    Args:
        signs_from: A recorded run whose signs are used: cycle ``n`` takes those that its cycle ``n`` ended with. Give
            the folder that ``IterativePruning(masks_from=...)`` is given, with the checkpoints of its
            ``CycleCheckpoint()``. None: the signs of the network as it was trained before the prune.
        seed: The seed of the draw, at least 0.
        draw: ``"every-cycle"`` draws other weights in every cycle. ``"once"`` gives every cycle the same magnitudes.
        initialize: A function that draws weights of the module in place, as for ``Reinitialize``. None: not called.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if a layer does not say how its
            parameters are drawn, or if the recorded run lacks a cycle or is of another network.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> pruning = IterativePruning(cycles=10, masks_from="runs/ticket")
        >>> ticket = [pruning, SignedReinitialize(signs_from="runs/ticket", seed=1)]
        >>> from lightning_prune import Reinitialize
        >>> control = [IterativePruning(cycles=10, masks_from="runs/ticket"), Reinitialize(seed=1)]
    """

    def __init__(
        self,
        signs_from: str | Path | None = None,
        seed: int = 0,
        draw: Literal["every-cycle", "once"] = "every-cycle",
        initialize: Initialization | None = None,
    ) -> None:
        super().__init__(seed, draw, initialize)
        self.signs_from = signs_from
        self._recorded = None if signs_from is None else RecordedWeights(signs_from, type(self).__name__)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_start(trainer, pl_module)
        if self._recorded is not None:
            self._recorded.refuse_missing(self.clock.cycles)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        taken = trained_parameters(pl_module)
        if self._recorded is None:
            signs = {name: weight.detach().sign() for name, weight in taken.items()}
        else:
            signs = self._recorded.read(cycle.index, taken)
        super().on_cycle_start(trainer, pl_module, cycle)
        give_signs_(taken, signs)


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained and are not of normalization layers, by name.

    Args:
        module: The network.

    Example:
        >>> list(trained_parameters(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))))
        ['0.weight', '0.bias']
    """
    named = {plain_name(name): one for name, one in module.named_parameters() if one.requires_grad}
    left_out = parameters_of_norms(module)
    return {name: one for name, one in named.items() if name not in left_out}


def give_signs_(weights: dict[str, nn.Parameter], signs: dict[str, Tensor]) -> None:
    """Give weights the signs of others, in place.

    Args:
        weights: The weights by name.
        signs: Numbers of which the sign counts, by the same names.

    Example:
        >>> weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> give_signs_({"w": weight}, {"w": torch.tensor([-9.0, -9.0])})
        >>> weight.tolist()
        [-1.0, -2.0]
    """
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(with_signs(weight, signs[name].to(weight.device)))
