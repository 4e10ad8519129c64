"""Find the resolution of a measured column, and the least spread that its rounding allows.

An accuracy over N images is a multiple of 1/N, and no value lies between two multiples. If a network loses one image
with each of two seeds, the standard deviation of its differences is 0. The interval by Student's t then has no width.
Such an interval is wrong, because the rounding alone has a spread. A value that is rounded to a grid of step q has an
error that is spread evenly over q. The variance of this error is q²/12 (W. F. Sheppard, 1898). A difference of two
arms has two such errors, so its variance is at least q²/6. A sum of k terms has at least the variance k·q²/12.

Therefore the standard deviation of a sample counts as at least q·√(k/12). With up to six seeds this changes a sample
only if all of its values are equal. A single value that is one step away from the others already gives q/√6 or more.
Without this lower bound, two seeds call up to 12 % of the differences significant that are truly 0. With the bound,
this happens in at most 5 % of the cases, as a 95 % interval allows, for any number of seeds.

The number of images is in no table. Therefore the step is read from the column, as the smallest gap between two of its
values. This gap is a multiple of the true step, and so an upper bound of the step. More rows bring it nearer to the
true step. A loss has no step. The smallest gap of many losses is so small that the lower bound has no effect.
"""

import math

import numpy as np
import pandas as pd

EXACT = ("epochs", "epochs_shared", "peak_lr")  # These are counted or set, not estimated from images.
ROUNDING = 1e-5  # A share of a value. Values that are closer are one count, summed over batches in another order.


def resolution(table: pd.DataFrame, metric: str) -> float:
    """Find the step of a column from its values.

    Args:
        table: The tidy table of a study.
        metric: A measured column.

    Returns:
        The smallest gap between two values of the column, in its unit. 0 for columns that are counted or set, such as
        epochs. NaN if all values are equal, because the step is then not known.

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
    """Compute the spread of a sum of values that comes from their rounding alone.

    Args:
        table: The tidy table of a study.
        metric: A measured column.
        terms: The number of values that are added or subtracted. 1 for a mean of one arm, 2 for a difference of two
            arms.

    Returns:
        A standard deviation, ``resolution · √(terms / 12)``. NaN if the resolution is not known.

    Example:
        >>> table = pd.DataFrame({"test_last": [0.75, 0.5, 0.875]})
        >>> round(least_spread(table, "test_last", terms=2), 4)  # 0.125 / √6
        0.051
    """
    return resolution(table, metric) * math.sqrt(terms / 12)
