"""Collect the learning rate over the steps, exactly from rates.csv, or else from sampled rates."""

import numpy as np
import pandas as pd

from lightning_prune.lab.report.logged_run import Run

RANGE = ["pruning/lr_min", "pruning/lr_max"]


def rate_curves(run: Run) -> dict[str, pd.Series]:
    """Collect the rate of every parameter group over the steps. Groups with always equal rates are one.

    Returns:
        The columns of rates.csv, with a row at each change of a rate. Without rates.csv, the sampled columns of a
        LearningRateMonitor, with a gap before each cycle.
    """
    if len(run.rates):
        return _distinct(run.rates.ffill())
    named = run.rows.filter(regex=r"^lr-.*(?<!-momentum)(?<!-weight_decay)$")
    sampled = named.groupby(run.rows["step"]).last(numeric_only=True)
    starts = [start - 0.5 for start in run.first_steps.values()]
    return {
        name: pd.concat([curve, pd.Series(np.nan, index=starts)]).sort_index()
        for name, curve in _distinct(sampled).items()
    }


def rate_band(run: Run) -> pd.DataFrame:
    """Collect the smallest and the largest rate of every epoch, by its first step. Empty if there is a rates.csv."""
    if len(run.rates) or not set(RANGE) <= set(run.rows):
        return pd.DataFrame(columns=RANGE, dtype=float)
    epochs = run.rows.dropna(subset=RANGE).groupby("step")[RANGE].last()
    starts = [0.0, *(epochs.index + 1.0)]
    return pd.concat([epochs, epochs.tail(1)]).set_axis(starts[: len(epochs) + 1] if len(epochs) else [])


def _distinct(rates: pd.DataFrame) -> dict[str, pd.Series]:
    distinct: dict[str, pd.Series] = {}
    for name, column in rates.items():
        curve = column.dropna()
        if curve.size and not any(curve.equals(other) for other in distinct.values()):
            distinct[str(name)] = curve
    return distinct
