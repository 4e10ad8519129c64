"""Warn of what a prune leaves too little of."""

from collections.abc import Mapping

from lightning.pytorch.utilities import rank_zero_warn
from torch import Size

NARROW = 8  # times fewer units in a group than in the whole network


def warn_of_emptied(said: str, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Warn of tensors in which no weight is alive any more.

    Args:
        said: What has pruned them.
        before: The number of living weights of each tensor before the prune, by name.
        after: The number after it.
    """
    emptied = [name for name, living in after.items() if before[name] and not living]
    if emptied:
        rank_zero_warn(
            f"{said} leaves no weight alive in {', '.join(emptied)}: nothing passes through them any more. "
            "Lower the sparsity, or allocate with lightning_prune.allocation.erk."
        )


def warn_of_narrowed(
    said: str, shapes: Mapping[str, Size], before: Mapping[str, int], after: Mapping[str, int]
) -> None:
    """Warn of groups that have become much narrower than the network: all that the network knows has to pass there.

    Args:
        said: What has pruned them.
        shapes: The shape of the mask of each group of units, by name.
        before: The number of living units of each group before the prune.
        after: The number after it.
    """
    narrowed = [name for name in narrow(shapes, after) if name not in narrow(shapes, before)]
    if narrowed:
        listed = ", ".join(f"{after[name]} of {shapes[name].numel()} in {name}" for name in narrowed[:4])
        more = f" and in {len(narrowed) - 4} more" if len(narrowed) > 4 else ""
        rank_zero_warn(
            f"{said} leaves few units alive in single groups: {listed}{more}. The accuracy may be lost there. Choose "
            "within each group (allocation=lightning_prune.allocation.isomorphic or layerwise), or keep some units of "
            "each (granularity=Structures(minimum=...))."
        )


def narrow(shapes: Mapping[str, Size], living: Mapping[str, int]) -> list[str]:
    """The groups in which the living share of the units is less than an eighth of that of the whole network.

    Args:
        shapes: The shape of the mask of each group of units, by name.
        living: The number of living units of each group. Groups without one are left out.

    Example:
        >>> narrow({"one": Size([32]), "other": Size([32])}, {"one": 1, "other": 31})
        ['one']
        >>> narrow({"one": Size([32]), "other": Size([32])}, {"one": 2, "other": 30})
        []
    """
    share = sum(living.values()) / max(sum(shape.numel() for shape in shapes.values()), 1)
    return [name for name, count in living.items() if 0 < count * NARROW < share * shapes[name].numel()]
