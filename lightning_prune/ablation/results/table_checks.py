"""Check the names of arms and columns, the cycles and the densities that are asked of a table."""

import pandas as pd

from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError

COSTS = ("loss_last", "epochs", "epochs_shared", "seconds", "seconds_shared")
MEASURED = ("val_last", "val_best", "test_last", "test_best", *COSTS, "best_epoch", "peak_lr")
NEAR = 0.05


def require_arms(where: str, table: pd.DataFrame, **arms: str) -> None:
    """Refuse names that are no arms.

    Args:
        where: The name of the calling function, for the message.
        table: The tidy table of a study.
        **arms: The name of each argument with the given arm.

    Raises:
        ValueError: If a name is not in the table. The message names the nearest arm.

    Example:
        >>> require_arms("compare", pd.DataFrame({"arm": ["silo", "clr"]}), a="sillo")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: `compare(a='sillo')` is no arm of this study. Did you mean 'silo'? The arms are ...
    """
    known = [str(arm) for arm in table["arm"].drop_duplicates()]
    for argument, arm in arms.items():
        if arm not in known:
            guess = suggest(arm, known, write=repr)
            arms_are = f"The arms are {', '.join(map(repr, known))}."
            raise UserError(f"`{where}({argument}={arm!r})` is no arm of this study.{guess} {arms_are}")


def require_metric(where: str, table: pd.DataFrame, metric: str) -> None:
    """Refuse a column that holds no measured numbers.

    Raises:
        ValueError: If ``metric`` is not one of the measured columns of the table. The message names the nearest column.
    """
    known = [name for name in MEASURED if name in table]
    if metric not in known:
        raise UserError(
            f"`{where}(metric={metric!r})` is no measured column of this table.{suggest(metric, known, write=repr)} "
            f"Measured are {', '.join(known)}."
        )


def require_values(where: str, table: pd.DataFrame, metric: str, *arms: str) -> None:
    """Refuse a column in which none of the arms has a value, such as the validation of a module that logs no metric.

    Raises:
        ValueError: If all values are missing. The message lists the columns that have values.

    Example:
        >>> table = pd.DataFrame({"arm": ["a", "b"], "val_last": float("nan"), "epochs": 3})
        >>> require_values("compare", table, "val_last", "a", "b")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: `compare(metric='val_last')`: 'a' and 'b' have no value of it, because ...
    """
    rows = table[table["arm"].isin(arms)]
    if rows[metric].notna().any():
        return
    known = [name for name in MEASURED if name in rows and rows[name].notna().any()]
    stage = "test" if metric.startswith("test_") else "validation"
    reason = f"no {stage} metric was logged, or none that is known by its name"
    if not known:
        reason = "their runs have failed or are not finished"
    given = f"`{where}(metric={metric!r})`: {' and '.join(map(repr, arms))} have no value of it, because {reason}."
    if not known:
        raise UserError(f"{given} The column `error` of the table says why a run has failed.")
    raise UserError(
        f"{given} Log one in `{stage}_step`, name it with Ablation(metric='...'), and run the study again. Or compare "
        f"by a column that has values, such as metric={known[0]!r} (there are {', '.join(known)})."
    )


def require_cycle(where: str, table: pd.DataFrame, cycle: int) -> None:
    """Refuse a cycle that no arm has reached.

    Raises:
        ValueError: If ``cycle`` is not in the table. The message lists the cycles of the table.
    """
    known = sorted({int(one) for one in table["cycle"].dropna()})
    if cycle not in known:
        raise UserError(
            f"`{where}(cycle={cycle})`: no arm has such a cycle. The cycles are {', '.join(map(str, known)) or 'none'}."
        )


def cycle_at(table: pd.DataFrame, density: float) -> int:
    """Find the cycle that was trained at a density.

    Args:
        table: The tidy table of a study.
        density: The density, in (0, 1]. A cycle within 5 % of it is near enough.

    Returns:
        The cycle whose mean density over arms and seeds is the nearest.

    Raises:
        ValueError: If no cycle is near enough. The message lists the densities.

    Example:
        >>> cycle_at(pd.DataFrame({"cycle": [0, 1, 2], "density": [1.0, 0.8, 0.64]}), 0.65)
        2
    """
    means = table.groupby("cycle")["density"].mean().dropna()
    ratios = (means / density - 1).abs() if density > 0 else pd.Series(dtype=float)
    if ratios.empty or ratios.min() > NEAR:
        known = ", ".join(f"{mean:.3g}" for mean in means)
        raise UserError(f"`best(density={density})`: no cycle was trained near it. The densities are {known}.")
    return int(ratios.index[int(ratios.argmin())])


def lower_wins(metric: str, mode: str) -> bool:
    """Whether less is better in a column. For losses and costs it always is. For val and test, ``mode`` decides.

    Raises:
        ValueError: If ``mode`` is neither ``max`` nor ``min``.

    Example:
        >>> lower_wins("test_last", "max"), lower_wins("loss_last", "max")
        (False, True)
    """
    if mode not in ("max", "min"):
        raise UserError(f"`mode={mode!r}` must be 'max' (more is better) or 'min' (less is better).")
    return mode == "min" or metric in COSTS
