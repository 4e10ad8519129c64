"""The axes that several pictures share: density from dense to sparse, and the measure that was chosen."""

import math
from collections.abc import Sequence
from itertools import pairwise

import altair as alt
import pandas as pd

ROOM = 0.35  # of the distance between two densities, for the arms side by side
PER_CENT_OR_NUMBER = "indexof(lower(measure), 'acc') >= 0 ? format(datum.value, '.3~p') : format(datum.value, '.3~g')"
POINTS_OR_NUMBER = (
    "datum.value == 0 ? '0' : format((indexof(lower(measure), 'acc') >= 0 ? 100 : 1) * datum.value, '+.3~g')"
)


def density_axis(table: pd.DataFrame) -> alt.X:
    """A logarithmic axis with a tick at every density of the study, dense on the left."""
    densities = _densities(table)
    room = math.exp(ROOM * _gap(densities))
    return alt.X(
        "place:Q",
        scale=alt.Scale(type="log", reverse=True, nice=False, domain=[densities[-1] / room, densities[0] * room]),
        axis=alt.Axis(
            values=densities,
            labelExpr="format(datum.value, '.3~p')",
            labelOverlap="greedy",
            labelBound=True,
            title="density (prunable weights that are left)",
            gridOpacity=0.6,
        ),
    )


def places(table: pd.DataFrame, density: float, arm: str, arms: Sequence[str]) -> float:
    """Set the arms side by side around a density, so that their intervals do not cover each other.

    Returns:
        The density at which the arm is drawn.
    """
    step = (list(arms).index(arm) / max(len(arms) - 1, 1) - 0.5) * ROOM * _gap(_densities(table))
    return density * math.exp(-step)


def measure_axis(field: str, labels: str = PER_CENT_OR_NUMBER) -> alt.Y:
    """An axis for whatever measure was chosen, in per cent where it is a fraction."""
    axis = alt.Axis(labelExpr=labels, title=None, gridOpacity=0.6)
    return alt.Y(f"{field}:Q", scale=alt.Scale(zero=False, nice=True), axis=axis)


def heading(expression: str) -> alt.TitleParams:
    """What the vertical axis shows, written flat above it, following the signals."""
    return alt.TitleParams(
        text=alt.ExprRef(expr=expression), anchor="start", frame="group", fontSize=12, fontWeight="normal", offset=8
    )


def shown_interval(rows: pd.DataFrame, of: str) -> pd.DataFrame:
    """Cut intervals that would leave no room for the rest: two seeds can give very wide ones.

    Args:
        rows: With low, high and the column ``of``, of one measure.
        of: What must be seen whole.

    Returns:
        The rows with low and high cut, and a column ``cut``.
    """
    lowest, highest = rows[of].min(), rows[of].max()
    room = max(0.75 * (highest - lowest), 1e-9)
    cut = (rows["low"] < lowest - room) | (rows["high"] > highest + room)
    bars = {"low_shown": rows["low"].clip(lowest - room, None), "high_shown": rows["high"].clip(None, highest + room)}
    return rows.assign(**bars, cut=cut)


def _densities(table: pd.DataFrame) -> list[float]:
    means = table.groupby("cycle")["density"].mean().dropna()
    return sorted({float(density) for density in means if density > 0}, reverse=True) or [1.0]


def _gap(densities: Sequence[float]) -> float:
    return min(
        [math.log(dense / sparse) for dense, sparse in pairwise(densities) if dense > 1.001 * sparse], default=0.2
    )
