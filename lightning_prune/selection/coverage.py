"""Tell the user when a large share of a network's matrices stays dense only because their layer type was not named."""

from torch import nn

from lightning_prune.selection.layer_types import path_of
from lightning_prune.selection.parameters import owned_parameters
from lightning_prune.selection.prunable import COMPUTED, Selected

SIZEABLE = 0.25


def told_of(module: nn.Module, selected: Selected) -> str | None:
    """Word a notice if a selection leaves a large share of the trainable matrices dense without being told to.

    Args:
        module: The network.
        selected: The selection, with the weights that are pruned.

    Returns:
        A notice with the full paths of the layer classes and the argument that prunes them. None if there is nothing to
        tell.

    Example:
        >>> from lightning_prune.selection.prunable import Prunable
        >>> told_of(nn.Linear(2, 2), Prunable()(nn.Linear(2, 2))) is None
        True
    """
    unnamed: dict[str, int] = {}
    for one in selected.skipped:
        if one.layer:
            unnamed[one.layer] = unnamed.get(one.layer, 0) + one.weights
    left, pruned = sum(unnamed.values()), sum(weight.numel() for weight in selected.weights.values())
    if left < SIZEABLE * (left + pruned):
        return None
    listed = ", ".join(f"{layer} ({count:,})" for layer, count in unnamed.items())
    return (
        f"IterativePruning prunes {pruned:,} of the {left + pruned:,} numbers in trainable matrices "
        f"({pruned / (left + pruned):.3g} of them), and its sparsity counts only these. The layers that nobody "
        f"named are: {listed}.{_how(module, selected, [one for one in unnamed if one != COMPUTED])} Or say that they "
        "stay dense: Prunable(exclude=[...])."
    )


def _how(module: nn.Module, selected: Selected, unnamed: list[str]) -> str:
    if not unnamed:
        return " Remove the parametrization to prune them, as the reasons in pruning.json say."
    owners = [owner for one in owned_parameters(module) if one.name in selected.weights for owner, _ in one.owners]
    types = ", ".join(dict.fromkeys([*(path_of(type(owner)) for owner in owners), *unnamed]))
    return f" To prune them, too: IterativePruning(prunable=Prunable(types=({types},)))."
