"""Compare arms by means, paired differences and verdicts over seeds, from the tidy table of a study.

A table has one row per arm, seed and cycle. Arms are matched by cycle, also where their densities differ. Runs are
paired by seed, because the arms of a seed share its dense run. Rows without the measured value (a failed arm, a cycle
that was not reached) do not count. Intervals are not corrected for multiple comparisons. Seeds that agree to the last
image do not make an interval narrow. Its spread is at least the spread that comes from the rounding of the metric
(:mod:`lightning_prune.ablation.results.resolution`). The verdict ``undecided`` means that a difference is not
significant.
"""

from typing import Literal

import pandas as pd

from lightning_prune.ablation.results.intervals import (
    UNDECIDED,
    by_seed,
    coded_nodes,
    intervals,
    least_spreads,
    of_all_arms,
    paired_differences,
    verdicts,
    where_apart,
)
from lightning_prune.ablation.results.resolution import least_spread
from lightning_prune.ablation.results.table_checks import (
    cycle_at,
    lower_wins,
    require_arms,
    require_cycle,
    require_metric,
    require_values,
)
from lightning_prune.basics.user_error import UserError

Mode = Literal["max", "min"]


def summary(table: pd.DataFrame, metric: str = "test_last", confidence: float = 0.95) -> pd.DataFrame:
    """Take the mean over seeds of every arm at every cycle, with its interval by Student's t.

    Args:
        table: The tidy table of a study.
        metric: A measured column of the table, such as ``test_last``, ``val_best`` or ``epochs``.
        confidence: The probability that an interval contains the true mean, strictly between 0 and 1.

    Returns:
        One row per arm and cycle that has a value. The columns are arm, cycle, density (the mean over seeds), seeds
        (their number), mean, low and high. ``low`` and ``high`` are NaN with fewer than two seeds, and where no two
        values of the column differ.

    Raises:
        ValueError: If ``metric`` is no measured column or ``confidence`` is out of range.

    Example:
        >>> table = pd.DataFrame({"arm": "silo", "seed": [0, 1], "cycle": 1, "density": 0.8, "test_last": [0.9, 0.92]})
        >>> summary(table).round(3).values.tolist()
        [['silo', 1, 0.8, 2, 0.91, 0.783, 1.037]]
    """
    require_metric("summary", table, metric)
    least = least_spread(table, metric, terms=1)
    values = of_all_arms(table, metric)
    found = intervals(values, confidence, least).reset_index().merge(_densities(table), on=["arm", "cycle"])
    return found[["arm", "cycle", "density", "seeds", "mean", "low", "high"]]


def compare(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test_last",
    cycle: int | None = None,
    confidence: float = 0.95,
    mode: Mode = "max",
) -> pd.DataFrame:
    """Compare two arms by their differences ``a - b`` within each seed.

    Args:
        table: The tidy table of a study.
        a: An arm.
        b: Another arm.
        metric: The measured column to compare.
        cycle: The cycle to compare at. 0 is dense. None: every cycle that one of the arms has.
        confidence: The probability that an interval contains the true difference, strictly between 0 and 1.
        mode: Whether more (``max``) or less (``min``) is better in val and test columns. For losses and costs, less is
            always better.

    Returns:
        One row per cycle. The columns are cycle, density_a, density_b, seeds (the number that both arms have), mean_a,
        mean_b and difference (over these seeds), low, high and verdict. The verdict is the better arm. It is
        ``undecided`` (not significant) if the interval contains 0, or both arms have fewer than two seeds in common.

    Raises:
        ValueError: If an arm, the metric or the cycle is not in the table, or both arms are the same. If neither arm
            has a value of the metric.

    Example:
        >>> rows = {"seed": [0, 1, 2] * 2, "cycle": 1, "density": 0.8, "test_last": [0.92, 0.93, 0.91, 0.9, 0.9, 0.89]}
        >>> table = pd.DataFrame({"arm": ["silo"] * 3 + ["clr"] * 3, **rows})
        >>> compare(table, "silo", "clr")[["difference", "low", "high", "verdict"]].round(3).values.tolist()
        [[0.023, 0.009, 0.038, 'silo']]
    """
    require_arms("compare", table, a=a, b=b)
    require_metric("compare", table, metric)
    if a == b:
        raise UserError(f"`compare(a={a!r}, b={b!r})` compares an arm with itself. Give two arms.")
    require_values("compare", table, metric, a, b)
    least = least_spreads(table, a, b, metric)
    paired = paired_differences(by_seed(table, a, metric), by_seed(table, b, metric), confidence, least)
    paired["verdict"] = verdicts(paired, a, b, lower_wins(metric, mode))
    densities = _densities(table).pivot(index="cycle", columns="arm", values="density").reindex(columns=[a, b])
    paired = paired.assign(density_a=densities[a], density_b=densities[b]).reset_index()
    columns = ["density_a", "density_b", "seeds", "mean_a", "mean_b", "difference", "low", "high", "verdict"]
    return _only(paired[["cycle", *columns]], "compare", table, cycle)


def best(
    table: pd.DataFrame,
    metric: str = "val_last",
    mode: Mode = "max",
    cycle: int | None = None,
    density: float | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Name the best arm at every cycle by validation, its test value, and the arms that may be as good.

    Args:
        table: The tidy table of a study.
        metric: The measured column that chooses. Choose by validation, so that the test value stays unbiased.
        mode: Whether more (``max``) or less (``min``) is better in val and test columns. For losses and costs, less is
            always better.
        cycle: A single cycle. 0 is dense. None: all cycles.
        density: Choose the single cycle by its density in (0, 1]. If given, ``cycle`` is ignored.
        confidence: The confidence of the intervals, strictly between 0 and 1.

    Returns:
        One row per cycle. The columns are cycle, density, arm, seeds, mean, low, high, test, rivals and verdict.
        ``test`` is the mean over seeds, NaN if nothing was tested. ``rivals`` is a tuple of the arms that are not
        significantly worse. The verdict is the arm, or ``undecided`` if there are rivals.

    Raises:
        ValueError: If the metric, the cycle or the density is not in the table.

    Example:
        >>> rows = {"seed": [0, 1, 2] * 2, "cycle": 1, "density": 0.8, "val_last": [0.92, 0.93, 0.91, 0.9, 0.9, 0.89]}
        >>> table = pd.DataFrame({"arm": ["silo"] * 3 + ["clr"] * 3, **rows})
        >>> best(table, density=0.8)[["arm", "rivals", "verdict"]].values.tolist()
        [['silo', (), 'silo']]
    """
    cycle = cycle if density is None else cycle_at(table, density)
    means = _only(summary(table, metric, confidence), "best", table, cycle)
    lower = lower_wins(metric, mode)
    ranked = means.sort_values(["cycle", "mean"], ascending=[True, lower], kind="stable")
    first = ranked.drop_duplicates("cycle").merge(_tested(table, metric), on=["arm", "cycle"], how="left")
    values = of_all_arms(table, metric)
    nodes = coded_nodes(table)
    least = least_spread(table, metric, terms=2)
    first["rivals"] = [
        _rivals(arm, _at(values, at), _at(nodes, at), least, confidence, lower)
        for arm, at in zip(first["arm"], first["cycle"], strict=True)
    ]
    first["verdict"] = first["arm"].where(first["rivals"].map(len) == 0, UNDECIDED)
    return first[["cycle", "density", "arm", "seeds", "mean", "low", "high", "test", "rivals", "verdict"]]


def _rivals(
    arm: str, values: pd.DataFrame, nodes: pd.DataFrame, least: float, confidence: float, lower: bool
) -> tuple[str, ...]:
    """The arms that are not significantly worse than the best one at a cycle. The rows are arms, the columns seeds."""
    others = values.drop(index=arm)
    spreads = where_apart(nodes.sub(nodes.loc[arm], axis=1), least).reindex(others.index)
    found = intervals(-others.sub(values.loc[arm], axis=1), confidence, spreads)
    worse = verdicts(found, arm, UNDECIDED, lower) == arm
    return tuple(str(other) for other in others.index[~worse])


def _at(values: pd.DataFrame, cycle: int) -> pd.DataFrame:
    """The rows of a cycle, one per arm."""
    return values[values.index.get_level_values("cycle") == cycle].droplevel("cycle")


def _densities(table: pd.DataFrame) -> pd.DataFrame:
    """The mean density over seeds of every arm and cycle."""
    known = table.dropna(subset=["cycle"]).astype({"cycle": int, "density": float})
    return known.groupby(["arm", "cycle"])["density"].mean().reset_index()


def _tested(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean test value of every arm and cycle, of the same network as ``metric`` (last or best)."""
    column = metric.replace("val_", "test_")
    known = column.startswith("test_") and column in table
    means = table.astype({column: float}).groupby(["arm", "cycle"])[column].mean() if known else pd.Series(
        dtype=float, index=pd.MultiIndex.from_arrays([[], []])
    )  # fmt: skip
    return means.rename_axis(["arm", "cycle"]).rename("test").reset_index()


def _only(found: pd.DataFrame, where: str, table: pd.DataFrame, cycle: int | None) -> pd.DataFrame:
    if cycle is None:
        return found
    require_cycle(where, table, cycle)
    return found[found["cycle"] == cycle].reset_index(drop=True)
