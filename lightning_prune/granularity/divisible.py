"""Leave out the weights that a granularity cannot divide, with the reasons."""

from torch import nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.granularity.base import Granularity
from lightning_prune.selection.parameters import owned_parameters
from lightning_prune.selection.prunable import Selected, Skipped

DOES_NOT_FIT = "does not fit "  # how the reasons begin


def divisible(granularity: Granularity, module: nn.Module, selected: Selected) -> Selected:
    """Leave out the weights that a granularity cannot divide.

    Args:
        granularity: The units in which weights live and die.
        module: The network.
        selected: What was selected of it.

    Returns:
        The weights that can be divided. The others are added to what is skipped, with the reasons.

    Raises:
        ValueError: If no weight is left.

    Example:
        >>> from lightning_prune import NofM, Prunable
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
        >>> left = divisible(NofM(2, 4), network, Prunable()(network))
        >>> list(left.weights), left.skipped[-1].reason
        (['1.weight'], 'does not fit NofM(n=2, m=4): 3 inputs, which is no multiple of 4')
    """
    owned = {one.name: one for one in owned_parameters(module)}
    reasons = {name: granularity.misfit(owned[name]) for name in selected.weights if name in owned}
    skipped = [
        Skipped(name, selected.weights[name].numel(), f"{DOES_NOT_FIT}{granularity!r}: {reason}")
        for name, reason in reasons.items()
        if reason is not None
    ]
    left = {name: weight for name, weight in selected.weights.items() if reasons.get(name) is None}
    if not left:
        listed = ", ".join(f"{name} ({reason})" for name, reason in list(reasons.items())[:8])
        raise UserError(f"IterativePruning(granularity={granularity!r}) fits no prunable weight: {listed}.")
    return Selected(left, (*selected.skipped, *skipped)) if skipped else selected
