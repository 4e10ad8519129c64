"""Draw the axes that several pictures share: density from dense to sparse, and the chosen measure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from lightning_prune.lab.report import charts

NEAR = 1.05  # The ratio of densities that share a tick.
ROOM = 0.35  # The share of the distance between two densities in which arms stand side by side.
# The format in which `percent` writes densities everywhere else on the page.
PER_CENT = "(datum.value >= 0.01 ? format(100 * datum.value, '.1f') : format(100 * datum.value, '.2~r')) + ' %'"
PER_CENT_OR_NUMBER = f"indexof(lower(measure), 'acc') >= 0 ? {charts.PER_CENT} : {charts.NUMBER}"
LIMITS = "limits[measure]"
LEAST = 0.01  # The least height of an axis of fractions. For other measures, the share of the lowest value.
CUT = "An arrow: the interval goes on beyond the picture."
POINTS_OR_NUMBER = (
    "datum.value == 0 ? '0' : format((indexof(lower(measure), 'acc') >= 0 ? 100 : 1) * datum.value, '+.3~g')"
)


def density_axis(table: pd.DataFrame) -> alt.X:
    """Make a logarithmic axis with a tick at every density of the study, dense on the left."""
    found, room = _of_arms(table), math.exp(ROOM * _gap(_densities(table)))
    ends = (found[-1] / room, found[0] * room)
    return charts.density_axis("place", ends, _ticks(found), PER_CENT, "density (prunable weights that are left)")


def places(table: pd.DataFrame, rows: pd.DataFrame, arms: Sequence[str]) -> list[float]:
    """Set the arms side by side around a density, so that their intervals do not cover each other.

    Args:
        table: The tidy table of the study.
        rows: Rows with an arm and a density.
        arms: All arms.

    Returns:
        The density at which the arm of each row is drawn.
    """
    room, order = ROOM * _gap(_densities(table)), {arm: place for place, arm in enumerate(arms)}
    steps = [(order[arm] / max(len(arms) - 1, 1) - 0.5) * room for arm in rows["arm"]]
    return [density * math.exp(-step) for density, step in zip(rows["density"], steps, strict=True)]


def measure_axis(field: str, labels: str = PER_CENT_OR_NUMBER, ends: str = LIMITS) -> alt.Y:
    """Make an axis for the chosen measure, in percent if the measure is a fraction.

    Args:
        field: The column of values.
        labels: The format of the ticks, as an expression of Vega.
        ends: The two ends of the axis, as an expression of Vega that gives the result of :func:`limits`.
    """
    axis = alt.Axis(labelExpr=labels, title=None, gridOpacity=0.6)
    low, high = (alt.ExprRef(expr=f"({ends})[{end}]") for end in (0, 1))
    return alt.Y(f"{field}:Q", scale=alt.Scale(nice=False, domain=[low, high]), axis=axis)


def limits(values: Iterable[float], within: tuple[float, float] = (-math.inf, math.inf)) -> list[float]:
    """Choose the ends of an axis: round numbers that hold all values, and no number that cannot be measured.

    The ends depend on all arms. The axis stays as it is if the reader hides an arm.

    Args:
        values: All values. NaN and infinite values do not count.
        within: The range of the measured values. An axis of fractions shows at least one percentage point.

    Returns:
        The lower and the upper end.

    Example:
        >>> limits([0.912, 0.987], (0.0, 1.0)), limits([0.97, 1.0], (0.0, 1.0)), limits([0.5, 0.5], (0.0, 1.0))
        ([0.9, 1.0], [0.97, 1.0], [0.494, 0.506])
    """
    known = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not known:
        return [0.0, 1.0]
    low, high = min(known), max(known)
    least = LEAST if math.isfinite(within[1]) else (abs(low) or 1.0) * LEAST
    if (short := least - (high - low)) > 0:
        low = min(max(low - short / 2, within[0]), within[1] - least)
        high = max(high, low + least)
    step = _round_step((high - low) / 5)
    ends = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return [float(f"{min(max(end, within[0]), within[1]):.9g}") for end in ends]


def heights(rows: Iterable[Mapping[str, Any]], label: str, value: str = "mean") -> list[float]:
    """Collect the values of one measure and the ends of their intervals, as they are drawn."""
    return [row[name] for row in rows if row["measure"] == label for name in (value, "low_shown", "high_shown")]


def _round_step(size: float) -> float:
    power = 10.0 ** math.floor(math.log10(size))
    return next(power * part for part in (1, 2, 5, 10) if power * part >= size * (1 - 1e-9))


def heading(expression: str) -> alt.TitleParams:
    """Make the title of the vertical axis, written flat above the axis. It follows the signals."""
    return alt.TitleParams(
        text=alt.ExprRef(expr=expression), anchor="start", frame="group", fontSize=12, fontWeight="normal", offset=8
    )


def shown_interval(rows: pd.DataFrame, of: str, within: tuple[float, float]) -> pd.DataFrame:
    """Cut intervals that would leave no room for the rest. Two seeds can give very wide intervals.

    Args:
        rows: The rows of one measure, with the columns low, high and ``of``.
        of: The column whose values must all be seen.
        within: The range of the measured values. An interval that ends there does not count as cut, because no values
            lie beyond.

    Returns:
        The rows with ``low_shown`` and ``high_shown``, and with ``cut_low`` and ``cut_high``, which say whether the
        interval goes on.

    Example:
        >>> rows = pd.DataFrame({"mean": [0.75, 0.875], "low": [0.5, 0.75], "high": [0.875, 1.25]})
        >>> shown_interval(rows, "mean", (0.0, 1.0))[["low_shown", "high_shown", "cut_low", "cut_high"]].values.tolist()
        [[0.65625, 0.875, True, False], [0.75, 0.96875, False, True]]
    """
    lowest, highest = rows[of].min(), rows[of].max()
    room = max(0.75 * (highest - lowest), 1e-9)
    low, high = rows["low"].clip(*within), rows["high"].clip(*within)
    return rows.assign(
        low_shown=low.clip(lower=lowest - room),
        high_shown=high.clip(upper=highest + room),
        cut_low=low < lowest - room,
        cut_high=high > highest + room,
    )


def interval_layers(
    base: alt.Chart, labels: str = PER_CENT_OR_NUMBER, ends: str = LIMITS, **mark: Any
) -> list[alt.Chart]:
    """Draw the intervals as bars, with an arrow at each end that :func:`shown_interval` has cut.

    Args:
        base: A chart with its x and its colors.
        labels: The format of the ticks of the vertical axis.
        ends: The two ends of the vertical axis, as an expression of Vega.
        **mark: Properties of the bars and the arrows, such as ``xOffset``.
    """
    known = base.transform_filter("isValid(datum.low_shown)")
    layers = [known.mark_rule(strokeWidth=1.5, opacity=0.7, **mark).encode(y=measure_axis("low_shown", labels, ends),
                                                                         y2="high_shown:Q")]  # fmt: skip
    for end, shape in (("low", "triangle-down"), ("high", "triangle-up")):
        # The rows are not filtered. Without any arrow the axis would have no range, and Vega would warn.
        seen = alt.condition(f"datum.cut_{end}", alt.value(1), alt.value(0))
        arrows = known.mark_point(filled=True, size=55, shape=shape, **mark)
        layers.append(arrows.encode(y=measure_axis(f"{end}_shown", labels, ends), opacity=seen))
    return layers


def _densities(table: pd.DataFrame) -> list[float]:
    means = table.groupby("cycle")["density"].mean().dropna()
    return sorted({float(density) for density in means if density > 0}, reverse=True) or [1.0]


def _of_arms(table: pd.DataFrame) -> list[float]:
    """The densities of all arms and cycles, because arms may differ in a cycle. The largest comes first."""
    means = table.groupby(["arm", "cycle"])["density"].mean().dropna()
    return sorted((float(density) for density in means if density > 0), reverse=True) or [1.0]


def _ticks(densities: Sequence[float]) -> list[float]:
    """The means of densities that are nearly equal."""
    near: list[list[float]] = []
    for density in densities:
        if near and near[-1][0] <= NEAR * density:
            near[-1].append(density)
        else:
            near.append([density])
    return [sum(group) / len(group) for group in near]


def _gap(densities: Sequence[float]) -> float:
    return min(
        [math.log(dense / sparse) for dense, sparse in pairwise(densities) if dense > 1.001 * sparse], default=0.2
    )
