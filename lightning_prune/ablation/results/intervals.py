"""How sure a mean over seeds is: Student's t, row by row, with a floor under the spread."""

import numpy as np
import pandas as pd
from scipy import stats


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
