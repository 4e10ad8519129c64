"""How sure a mean over seeds is, and the difference of two arms: Student's t with a floor under the spread.

:func:`intervals` takes one arm, or differences; :func:`paired_differences` takes two arms seed by seed, and
:func:`verdicts` says who is better.
"""

import numpy as np
import pandas as pd
from scipy import stats

from lightning_prune.ablation.results.resolution import least_spread

UNDECIDED = "undecided"


def intervals(values: pd.DataFrame, confidence: float = 0.95, least: float | pd.Series = 0.0) -> pd.DataFrame:
    """Take the mean over the columns and the interval that holds the true mean as often as ``confidence`` says.

    The interval is mean ± t · s / √n with n - 1 degrees of freedom, n counting what is not missing. A sample whose
    spread is below ``least`` counts as spread by ``least``: seeds that agree by chance are no proof.

    Args:
        values: One row per cycle, one column per seed; missing values do not count.
        confidence: Strictly between 0 and 1.
        least: The least standard deviation that is believed, at least 0, for all rows or one for each; see
            :func:`~lightning_prune.ablation.results.resolution.least_spread`. NaN where it is not known.

    Returns:
        The rows of ``values``: seeds (how many count), mean, low, high; the last two are NaN with fewer than two
        seeds, and where ``least`` is NaN.

    Raises:
        ValueError: If ``confidence`` is not strictly between 0 and 1.

    Example:
        >>> intervals(pd.DataFrame({0: [1.0, 5.0], 1: [3.0, None]})).round(2).values.tolist()
        [[2.0, 2.0, -10.71, 14.71], [1.0, 5.0, nan, nan]]
        >>> intervals(pd.DataFrame({0: [1.0], 1: [1.0]}), least=0.5).round(2).values.tolist()
        [[2.0, 1.0, -3.49, 5.49]]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence={confidence}` must lie strictly between 0 and 1, such as 0.95.")
    count = values.notna().sum(axis=1)
    mean = values.mean(axis=1)
    spread = np.maximum(values.std(axis=1), least)
    reach = stats.t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * spread / np.sqrt(count.clip(1))
    return pd.DataFrame({"seeds": count, "mean": mean, "low": mean - reach, "high": mean + reach})


def by_seed(table: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    """Lay out what an arm measured.

    Args:
        table: The tidy table of a study.
        arm: One of its arms.
        metric: A measured column.

    Returns:
        One row per cycle and one column per seed, of those that have a value.
    """
    rows = table[table["arm"] == arm].dropna(subset=["cycle", metric]).astype({"cycle": int, metric: float})
    return rows.pivot(index="cycle", columns="seed", values=metric)


def paired_differences(
    of_a: pd.DataFrame, of_b: pd.DataFrame, confidence: float = 0.95, least: float | pd.Series = 0.0
) -> pd.DataFrame:
    """Take the differences ``a - b`` within each seed, and the interval of their mean.

    Args:
        of_a: What :func:`by_seed` says of an arm.
        of_b: The same of another one.
        confidence: Strictly between 0 and 1.
        least: The least standard deviation of the differences that is believed; see :func:`least_spreads`.

    Returns:
        One row per cycle that one of them has: seeds (that both have), difference, low, high, mean_a, mean_b.

    Example:
        >>> a, b = pd.DataFrame({0: [0.9], 1: [0.8]}), pd.DataFrame({0: [0.7], 2: [0.1]})
        >>> paired_differences(a, b)[["seeds", "mean_a", "mean_b"]].values.tolist()
        [[1.0, 0.9, 0.7]]
    """
    differences = of_a - of_b
    found = intervals(differences, confidence, least).rename(columns={"mean": "difference"})
    for name, values in (("mean_a", of_a), ("mean_b", of_b)):
        found[name] = values.reindex_like(differences).where(differences.notna()).mean(axis=1)
    return found


def least_spreads(table: pd.DataFrame, a: str, b: str, metric: str) -> pd.Series:
    """Say how much the differences of two arms are spread at least, by the rounding of what was measured.

    Args:
        table: The tidy table of a study.
        a: An arm.
        b: Another one.
        metric: A measured column.

    Returns:
        A standard deviation for every cycle that one of them has. It is 0 where both are the same network with every
        seed, because they share the node: then the difference is 0, and known to be.

    Example:
        >>> rows = {"arm": ["a", "b"] * 2, "seed": 0, "cycle": [0, 0, 1, 1], "node": ["x", "x", "y", "z"]}
        >>> table = pd.DataFrame({**rows, "test_last": [0.5, 0.5, 0.75, 0.5]})
        >>> least_spreads(table, "a", "b", "test_last").round(3).tolist()  # 0.25 / √6 in cycle 1
        [0.0, 0.102]
    """
    least = least_spread(table, metric, terms=2)
    coded = table.assign(node=_numbered(table))
    apart = (by_seed(coded, a, "node") - by_seed(coded, b, "node")).fillna(0.0).ne(0).any(axis=1)
    return pd.Series(0.0, index=apart.index).mask(apart, least)


def verdicts(found: pd.DataFrame, a: str | pd.Series, b: str | pd.Series, lower_wins: bool) -> pd.Series:
    """Name the better arm where the interval does not contain 0.

    Args:
        found: With low and high of ``a - b``; missing ones decide nothing.
        a: An arm, or one for every row.
        b: The other one, or one for every row.
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
    """A number for every node; a row without one has a number of its own."""
    found = pd.factorize(table["node"])[0] if "node" in table else np.full(len(table), -1)
    return np.where(found >= 0, found, -1 - np.arange(len(table)))
