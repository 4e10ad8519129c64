"""Compute the intervals of means over seeds, and of the differences of two arms.

:func:`intervals` takes the values of one arm, or differences. It uses Student's t, with a lower bound for the spread.
:func:`paired_differences` compares two arms seed by seed. :func:`verdicts` names the better arm.
"""

import numpy as np
import pandas as pd
from scipy import stats

from lightning_prune.ablation.results.resolution import least_spread
from lightning_prune.basics.user_error import UserError

UNDECIDED = "undecided"


def intervals(values: pd.DataFrame, confidence: float = 0.95, least: float | pd.Series = 0.0) -> pd.DataFrame:
    """Take the mean over the columns, and the interval that contains the true mean with probability ``confidence``.

    The interval is mean ± t · s / √n with n - 1 degrees of freedom, where n is the number of values that are not
    missing. A standard deviation s below ``least`` is replaced by ``least``, because seeds may agree by chance.

    Args:
        values: One row per cycle, one column per seed. Missing values do not count.
        confidence: The confidence, strictly between 0 and 1.
        least: The lower bound of the standard deviation, at least 0, for all rows or one for each row. NaN where it is
            not known. See :func:`~lightning_prune.ablation.results.resolution.least_spread`.

    Returns:
        A row for each row of ``values``. The columns are seeds (the number that counts), mean, low and high. ``low``
        and ``high`` are NaN with fewer than two seeds, and where ``least`` is NaN.

    Raises:
        ValueError: If ``confidence`` is not strictly between 0 and 1.

    Example:
        >>> intervals(pd.DataFrame({0: [1.0, 5.0], 1: [3.0, None]})).round(2).values.tolist()
        [[2.0, 2.0, -10.71, 14.71], [1.0, 5.0, nan, nan]]
        >>> intervals(pd.DataFrame({0: [1.0], 1: [1.0]}), least=0.5).round(2).values.tolist()
        [[2.0, 1.0, -3.49, 5.49]]
    """
    if not 0 < confidence < 1:
        raise UserError(f"`confidence={confidence}` must lie strictly between 0 and 1, such as 0.95.")
    count = values.notna().sum(axis=1)
    mean = values.mean(axis=1)
    spread = np.maximum(values.std(axis=1), least)
    reach = stats.t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * spread / np.sqrt(count.clip(1))
    return pd.DataFrame({"seeds": count, "mean": mean, "low": mean - reach, "high": mean + reach})


def by_seed(table: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    """Lay out the measured values of an arm.

    Args:
        table: The tidy table of a study.
        arm: One of its arms.
        metric: A measured column.

    Returns:
        One row per cycle and one column per seed. Cycles and seeds without a value are left out.
    """
    rows = table[table["arm"] == arm].dropna(subset=["cycle", metric]).astype({"cycle": int, metric: float})
    return rows.pivot(index="cycle", columns="seed", values=metric)


def of_all_arms(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Lay out the values of every arm at once, each as :func:`by_seed` does.

    Args:
        table: The tidy table of a study.
        metric: A measured column.

    Returns:
        One row per arm and cycle, arms in the order of the table, and one column per seed.

    Example:
        >>> table = pd.DataFrame({"arm": ["b", "a"], "seed": 0, "cycle": 1, "test_last": [0.5, 0.75]})
        >>> of_all_arms(table, "test_last")[0].to_dict()
        {('b', 1): 0.5, ('a', 1): 0.75}
    """
    order = [str(arm) for arm in table["arm"].drop_duplicates()]
    rows = table.dropna(subset=["cycle", metric]).astype({"cycle": int, metric: float})
    wide = rows.pivot(index=["arm", "cycle"], columns="seed", values=metric)
    rank = {arm: place for place, arm in enumerate(order)}
    return wide.sort_index(key=lambda level: level.map(rank) if level.name == "arm" else level)


def coded_nodes(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out a number for the node of every arm, cycle and seed. Equal numbers are the same network.

    Args:
        table: The tidy table of a study.

    Example:
        >>> table = pd.DataFrame({"arm": ["a", "b"], "seed": 0, "cycle": 0, "node": ["x", "x"]})
        >>> coded_nodes(table).values.tolist()
        [[0.0], [0.0]]
    """
    return of_all_arms(table.assign(node=_numbered(table)), "node")


def paired_differences(
    of_a: pd.DataFrame, of_b: pd.DataFrame, confidence: float = 0.95, least: float | pd.Series = 0.0
) -> pd.DataFrame:
    """Take the differences ``a - b`` within each seed, and the interval of their mean.

    Args:
        of_a: The values of an arm, laid out by :func:`by_seed`.
        of_b: The values of another arm.
        confidence: The confidence, strictly between 0 and 1.
        least: The lower bound of the standard deviation of the differences. See :func:`least_spreads`.

    Returns:
        One row per cycle that one of the arms has. The columns are seeds (the number that both have), difference, low,
        high, mean_a and mean_b.

    Example:
        >>> a, b = pd.DataFrame({0: [0.9], 1: [0.8]}), pd.DataFrame({0: [0.7], 2: [0.1]})
        >>> paired_differences(a, b)[["seeds", "mean_a", "mean_b"]].values.tolist()
        [[1.0, 0.9, 0.7]]
    """
    differences = of_a - of_b
    if isinstance(least, pd.Series):  # a cycle that was trained may lack the metric in both arms
        least = least.reindex(differences.index)
    found = intervals(differences, confidence, least).rename(columns={"mean": "difference"})
    for name, values in (("mean_a", of_a), ("mean_b", of_b)):
        found[name] = values.reindex_like(differences).where(differences.notna()).mean(axis=1)
    return found


def least_spreads(table: pd.DataFrame, a: str, b: str, metric: str) -> pd.Series:
    """Find the least spread of the differences of two arms, which comes from the rounding of the measured values.

    Args:
        table: The tidy table of a study.
        a: An arm.
        b: Another arm.
        metric: A measured column.

    Returns:
        A standard deviation for every cycle that one of the arms has. It is 0 if the arms share the node with every
        seed. Then both have the same network, and the difference is exactly 0.

    Example:
        >>> rows = {"arm": ["a", "b"] * 2, "seed": 0, "cycle": [0, 0, 1, 1], "node": ["x", "x", "y", "z"]}
        >>> table = pd.DataFrame({**rows, "test_last": [0.5, 0.5, 0.75, 0.5]})
        >>> least_spreads(table, "a", "b", "test_last").round(3).tolist()  # 0.25 / √6 in cycle 1
        [0.0, 0.102]
    """
    coded = table.assign(node=_numbered(table))
    differences = by_seed(coded, a, "node") - by_seed(coded, b, "node")
    return where_apart(differences, least_spread(table, metric, terms=2))


def where_apart(differences: pd.DataFrame, least: float) -> pd.Series:
    """Bound the spread of the differences of two arms from below, where they do not share their nodes.

    Args:
        differences: The differences of their nodes, laid out by :func:`coded_nodes`.
        least: The lower bound, which :func:`least_spread` gives.

    Returns:
        The lower bound for each row. 0 where both have the same node with every seed.
    """
    apart = differences.fillna(0.0).ne(0).any(axis=1)
    return pd.Series(0.0, index=apart.index).mask(apart, least)


def verdicts(found: pd.DataFrame, a: str | pd.Series, b: str | pd.Series, lower_wins: bool) -> pd.Series:
    """Name the better arm where the interval does not contain 0.

    Args:
        found: A table with the columns low and high of ``a - b``. Rows with missing values are ``undecided``.
        a: An arm, or one for every row.
        b: The other arm, or one for every row.
        lower_wins: Whether less is better.

    Returns:
        ``a``, ``b`` or ``undecided`` for every row.

    Example:
        >>> verdicts(pd.DataFrame({"low": [0.1, -0.1], "high": [0.2, 0.1]}), "silo", "clr", lower_wins=True).tolist()
        ['clr', 'undecided']
    """
    above, below = (b, a) if lower_wins else (a, b)
    said = pd.Series(UNDECIDED, index=found.index)
    return said.mask(found["low"] > 0, above).mask(found["high"] < 0, below)


def _numbered(table: pd.DataFrame) -> np.ndarray:
    """A number for every node. A row without a node has a number of its own."""
    found = pd.factorize(table["node"])[0] if "node" in table else np.full(len(table), -1)
    return np.where(found >= 0, found, -1 - np.arange(len(table)))
