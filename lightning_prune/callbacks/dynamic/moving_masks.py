"""Move masks: agree on new ones, treat the moments of what died or came back, and hold by them."""

from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune.callbacks.compat.weight_averaging import begin_averages_again
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.processes import check_agreement, take_from_first
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.masks.factors import Factors
from lightning_prune.masks.optimizer_state import mask_moments_


def move_masks_(
    trainer: "pl.Trainer",
    pruner: Pruner,
    hold: Hold,
    masks: Mapping[str, Tensor],
    optimizers: Sequence[Optimizer],
    at_once: bool,
) -> int:
    """Take new masks: zero the moments of weights that died or come back, and hold by the new masks.

    Args:
        trainer: The trainer. All processes have to call this, and the first one decides.
        pruner: The owner of the masks.
        hold: What keeps dead weights at zero.
        masks: The new masks by name, uint8, whole.
        optimizers: The optimizers whose state is treated.
        at_once: Whether weights that died become zero now. If not, they do so after the step that is about to come.

    Returns:
        How many weights came back.
    """
    before = {name: pruner.masks[name] for name in masks}
    pruner.masks.replace_(masks)
    held = agreed_masks(trainer, pruner)
    stayed, moved = {}, 0
    for name, old in before.items():
        now, weight = pruner.masks[name], pruner.weights[name]
        assert now is not None
        stayed[weight] = now if old is None else old * now
        moved += pruner.masks.living[name] - int(stayed[weight].count_nonzero())
    for optimizer in optimizers:
        mask_moments_(optimizer, stayed)
    hold.use(held, at_once)
    begin_averages_again(trainer)
    return moved


def agreed_masks(trainer: "pl.Trainer", pruner: Pruner) -> Mapping[str, Tensor | Factors]:
    """The masks of the first process, which all hold.

    Args:
        trainer: The trainer. All processes have to call this.
        pruner: The owner of the masks, which takes those of the first process.

    Raises:
        RuntimeError: If the processes have different masks all the same.
    """
    take_from_first(trainer, pruner.masks)
    check_agreement(trainer, pruner.masks)
    return pruner.held()
