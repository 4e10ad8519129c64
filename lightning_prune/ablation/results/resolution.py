"""How fine a measured column is, and the least spread that can be believed of it.

An accuracy over N images is a multiple of 1/N. Between two multiples it says nothing: a network that loses one image
with each of two seeds has differences whose standard deviation is 0, and an interval by Student's t of no width. Such
an interval is wrong: the rounding alone has a spread. A value that is rounded to a grid of step q is off by an error
that is spread evenly over q, and the variance of such an error is q²/12 (W. F. Sheppard, 1898). A difference of two
arms has two such errors, hence at least the variance q²/6, and a sum of k terms k·q²/12.

So the standard deviation of a sample counts as at least q·√(k/12). With up to six seeds this changes a sample only
where all of its values are equal, because one value that is one step beside the others already gives q/√6 and more.
Without this floor two seeds call up to 12 % of differences decided that are truly 0. With it, it is at most the 5 %
that a 95 % interval allows, for any number of seeds.

The number of images is in no table. The step is therefore read off the column: the smallest gap between two of its
values. That is a multiple of the true step, so it is an upper bound of it, and the more rows there are, the nearer it
is. A loss has no step; the smallest gap of many losses is so small that the floor has no effect.
"""

import math

import numpy as np
import pandas as pd

EXACT = ("epochs", "epochs_shared", "peak_lr")  # counted or set, and not estimated from images
ROUNDING = 1e-5  # of a value; what is nearer together is one count, summed over batches in another order


def resolution(table: pd.DataFrame, metric: str) -> float:
    """Read the step of a column off its values.

    Args:
        table: The tidy table of a study.
        metric: A measured column.

    Returns:
        The smallest gap between two values of the column, in its unit; 0 for what is counted or set, such as epochs;
        NaN if all values are equal, so that nothing can be said.

    Example:
        >>> resolution(pd.DataFrame({"test_last": [0.75, 0.5, 0.875, 0.75]}), "test_last")
        0.125
    """
    if metric in EXACT:
        return 0.0
    values = table[metric].to_numpy(dtype=float, na_value=np.nan)
    values = np.unique(values[np.isfinite(values)])
    gaps = np.diff(values)
    gaps = gaps[gaps > ROUNDING * np.maximum(np.abs(values[1:]), np.abs(values[:-1]))]
    return float(gaps.min()) if gaps.size else math.nan


def least_spread(table: pd.DataFrame, metric: str, terms: int) -> float:
    """Say how much a sum of values is spread by their rounding alone.

    Args:
        table: The tidy table of a study.
        metric: A measured column.
        terms: How many values are added up or taken away: 1 for a mean of one arm, 2 for a difference of two.

    Returns:
        A standard deviation, ``resolution · √(terms / 12)``; NaN where the resolution is not known.

    Example:
        >>> table = pd.DataFrame({"test_last": [0.75, 0.5, 0.875]})
        >>> round(least_spread(table, "test_last", terms=2), 4)  # 0.125 / √6
        0.051
    """
    return resolution(table, metric) * math.sqrt(terms / 12)
