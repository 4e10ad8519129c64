"""Compute the interval of a mean over seeds by Student's t, with a lower bound for the spread."""

import numpy as np
import pandas as pd
from scipy import stats


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
        raise ValueError(f"`confidence={confidence}` must lie strictly between 0 and 1, such as 0.95.")
    count = values.notna().sum(axis=1)
    mean = values.mean(axis=1)
    spread = np.maximum(values.std(axis=1), least)
    reach = stats.t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * spread / np.sqrt(count.clip(1))
    return pd.DataFrame({"seeds": count, "mean": mean, "low": mean - reach, "high": mean + reach})
