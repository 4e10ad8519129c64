"""Find the weights that can have moving masks: prunable, whole on each device, and held by an optimizer."""

from collections.abc import Mapping, Sequence

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.selection.parameters import identity
from lightning_prune.selection.prunable import Selection
from lightning_prune.selection.sharding import is_sharded


def selected_weights(
    prunable: Selection, module: nn.Module, optimizers: Sequence[Optimizer], asker: str
) -> Mapping[str, Tensor]:
    """Select the weights that have masks.

    Args:
        prunable: The selection.
        module: The module, when training starts.
        optimizers: The optimizers of the fit.
        asker: The class of the callback, for errors.

    Returns:
        The weights by name. A warning names the weights that no optimizer holds.

    Raises:
        ValueError: If nothing is left, or weights are sharded.

    Example:
        >>> import torch
        >>> from lightning_prune import Prunable
        >>> layer = nn.Linear(2, 2)
        >>> list(selected_weights(Prunable(), layer, [torch.optim.SGD(layer.parameters(), lr=0.1)], "RigL"))
        ['weight']
    """
    selected = prunable(module).weights
    held = {identity(one) for optimizer in optimizers for one in owned_by(optimizer)}
    found = {name: weight for name, weight in selected.items() if identity(weight) in held}
    others = [name for name in selected if name not in found]
    if not found:
        raise UserError(
            f"{asker} finds no prunable weight that an optimizer holds: give the optimizers of configure_optimizers "
            f"the weights, or select others: {asker}(prunable=...)."
        )
    if any(map(is_sharded, found.values())):
        raise UserError(f"{asker} compares whole tensors, and these are sharded: train with DDP.")
    if others:
        rank_zero_warn(f"{asker} leaves {', '.join(others[:8])} dense: no optimizer holds them when training starts.")
    return found


def owned_names(weights: Mapping[str, Tensor], optimizer: Optimizer) -> list[str]:
    """The names of the weights that an optimizer holds.

    Args:
        weights: Weights by name.
        optimizer: The optimizer.
    """
    mine = {identity(one) for one in owned_by(optimizer)}
    return [name for name, weight in weights.items() if identity(weight) in mine]
