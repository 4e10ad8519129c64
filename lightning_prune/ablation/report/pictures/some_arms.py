"""Choose some of many arms, for pictures that would be too large with all of them."""

from collections.abc import Sequence

from lightning_prune.ablation.report.headline import winners
from lightning_prune.ablation.report.reported_study import Study


def some_arms(study: Study, arms: Sequence[str], most: int, wanted: str | None = None) -> list[str]:
    """Choose arms: one that is wanted, then those with the highest mean at a density, then the first of the study.

    Args:
        study: The study.
        arms: The arms to choose from.
        most: The most arms to choose, at least 1.
        wanted: An arm that is chosen in any case.

    Returns:
        The chosen arms in the order of ``arms``. All of them if they are few enough.
    """
    if len(arms) <= most:
        return list(arms)
    best = [winner.arm for winner in winners(study)]
    ranked = dict.fromkeys([*([wanted] if wanted else []), *best, *arms])
    chosen = set([arm for arm in ranked if arm in set(arms)][:most])
    return [arm for arm in arms if arm in chosen]


def some_of(chosen: Sequence[str], arms: Sequence[str]) -> str:
    """Say that only some arms were chosen.

    Example:
        >>> some_of(["a", "b"], ["a", "b", "c"])
        'There are 2 of 3 arms here: the best ones at each density, and the first.'
    """
    return f"There are {len(chosen)} of {len(arms)} arms here: the best ones at each density, and the first."
