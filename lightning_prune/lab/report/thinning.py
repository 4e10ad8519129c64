"""Thin long curves of learning rates to the points that a picture can show."""

import numpy as np
import pandas as pd

FEW = 1000  # Points of a curve. More cannot be told apart.
# Parts of the steps. Of each part at most four points are kept, and two where the rate only rises or falls.
STRETCHES = FEW // 3
# The number of kept jumps that are no ends of plateaus, and their least size as a share of the larger rate.
JUMPS, JUMP = FEW // 10, 0.05


def thinned(curve: pd.Series) -> pd.Series:
    """Leave out points that the picture would not show. Jumps and plateaus stay.

    A row stands for all steps until the next row. Therefore stretches are counted in steps and not in rows. A plateau
    is one row, and would be lost beside a rate that changes with every step. The first, the last, the lowest and the
    highest row of every stretch are kept. Every row that lasts long enough to be seen is kept with its neighbors. Both
    sides of the largest other jumps are kept. A curve with infinite rates or with gaps stays whole.

    Args:
        curve: The rates over the steps, with a row at each change of the rate.
    """
    if len(curve) <= FEW or not np.isfinite(curve).all():
        return curve
    steps, rates = curve.index.to_numpy(dtype=float), curve.to_numpy(dtype=float)
    span = max(steps[-1] - steps[0], 1.0)
    stretch = np.minimum((steps - steps[0]) * STRETCHES // span, STRETCHES - 1)
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    numbered = pd.Series(rates).groupby(stretch)
    long = np.flatnonzero(np.diff(steps, append=steps[-1]) >= span / FEW)
    before = _jumps(rates)
    extremes = [numbered.idxmin().to_numpy(), numbered.idxmax().to_numpy()]
    kept = [*extremes, begins, begins - 1, long - 1, long, long + 1, before, before + 1, np.array([len(rates)])]
    return curve.iloc[np.unique(np.concatenate(kept).astype(int).clip(0, len(rates) - 1))]


def _jumps(rates: np.ndarray) -> np.ndarray:
    """Find the rows before the largest jumps."""
    size = np.abs(np.diff(rates)) / np.maximum(np.maximum(np.abs(rates[1:]), np.abs(rates[:-1])), 1e-30)
    largest = np.argsort(-size, kind="stable")[:JUMPS]
    return np.asarray(largest[size[largest] > JUMP])
