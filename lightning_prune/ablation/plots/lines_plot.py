"""Draw columns of a table as lines, in a panel for each measure and each part of the table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.canvas import GREY, color_of, shape_of
from lightning_prune.lab.report.charts import DENSITIES, NUMBER, PER_CENT, curves, density_axis
from lightning_prune.lab.report.vega import DATA, printed, records, with_rows

SIZES = {1: (560, 230), 2: (270, 190), 3: (170, 150)}  # points, of a panel, by the number of panels
SMALL = (150, 90)
COLUMNS = 4
FEW = 30  # Points of a line. Each has a mark.
FRACTIONS = ("density", "sparsity", "error", "fraction")  # besides accuracies; the words that such a name has
LETTERS = 100  # that fit into a line of the legend


def plot_lines(
    table: pd.DataFrame,
    x: str,
    y: str | Sequence[str],
    line: str | None = None,
    panel: str | None = None,
    mark: str | None = None,
    log: Literal["", "x", "y", "xy"] = "",
    steps: bool = False,
) -> Plot:
    """Draw measures over a density, a temperature, an epoch or anything else: a line for each name in a column.

    Accuracies, errors, densities, sparsities and fractions are written in percent. Over ``"density"`` the axis is
    logarithmic, with the dense end on the left. Panels of one measure have the same axes.

    Args:
        table: A row for each point. Rows without a number are left out.
        x: The column of numbers of the horizontal axis.
        y: The measure, a column of numbers. Several measures have a panel each.
        line: The column with the name of the line. None: one line in a panel.
        panel: The column with the name of the panel. None: one panel for each measure.
        mark: The column that colors the points in place of the lines, such as a regime. The lines are gray then.
        log: The axes that are logarithmic. Values of 0 and below are left out there.
        steps: Whether a value holds until the next point, as a learning rate does.

    Returns:
        The picture. Its rows have the ``measure``, the ``panel``, the ``line``, the ``mark``, ``x`` and ``y``.

    Raises:
        ValueError: If the table lacks a column, there is nothing to draw, ``x`` or ``y`` holds no numbers, or both
            ``line`` and ``mark`` are given.

    Example:
        >>> table = pd.DataFrame({"epochs": [10, 40, 80], "error": [0.147, 0.137, 0.132], "regime": ["I", "I", "II-B"]})
        >>> plot = plot_lines(table, x="epochs", y="error", mark="regime")
        >>> [(row["x"], row["y"], row["mark"]) for row in plot.rows]
        [(10.0, 0.147, 'I'), (40.0, 0.137, 'I'), (80.0, 0.132, 'II-B')]
    """
    measures = [y] if isinstance(y, str) else list(y)
    _check(table, {"x": [x], "y": measures, "line": [line], "panel": [panel], "mark": [mark]})
    points = _points(table, x, measures, {"line": line, "panel": panel, "mark": mark}, log)
    if points.empty:
        raise UserError(f"plot_lines(x={x!r}, y={y!r}) has nothing to draw: no row has a number in both columns.")
    places = [tuple(map(str, place)) for place in points[["measure", "panel"]].drop_duplicates().to_numpy()]
    width, height = SIZES.get(len(places), SMALL)
    panels = []
    for number, (measure, name) in enumerate(places):
        lowest, first = number + COLUMNS >= len(places), number % COLUMNS == 0 or len(measures) > 1
        across = _across(x if lowest else None, x, points["x"], "x" in log)
        up = _up(measure if first else None, points, measure, "y" in log)
        panels.append(_panel(points, measure, name, across, up, steps).properties(width=width, height=height))
    lines = [alt.hconcat(*panels[at : at + COLUMNS], spacing=14) for at in range(0, len(panels), COLUMNS)]
    return Plot(printed(with_rows(alt.vconcat(*lines, data=DATA, spacing=12), records(points))))


def _check(table: pd.DataFrame, asked: Mapping[str, Sequence[str | None]]) -> None:
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"plot_lines({type(table).__name__}) draws a table of pandas, with a row for each point.")
    if asked["line"] != [None] and asked["mark"] != [None]:
        raise UserError("plot_lines(line=..., mark=...) colors lines or points. Give one, and the other as `panel`.")
    for argument, names in asked.items():
        for name in names:
            if name is not None and name not in table:
                known = list(map(str, table.columns))
                raise UserError(
                    f"plot_lines({argument}={name!r}): the table has the columns {', '.join(known)}."
                    f"{suggest(name, known)}"
                )
            if argument in ("x", "y") and not is_numeric_dtype(table[name]):
                raise UserError(f"plot_lines({argument}={name!r}) has to be a column of numbers.")


def _points(
    table: pd.DataFrame, x: str, measures: list[str], names: Mapping[str, str | None], log: str
) -> pd.DataFrame:
    """A row for each point of each measure, with names that do not depend on the table."""
    labels = {key: "" if name is None else table[name].astype(str) for key, name in names.items()}
    parts = [
        pd.DataFrame({"measure": y, "x": table[x].astype(float), "y": table[y].astype(float)}).assign(**labels)
        for y in measures
    ]
    points = pd.concat(parts, ignore_index=True)
    known = points[["x", "y"]].map(math.isfinite).all(axis=1)
    for axis in {*log, *("x" if x == "density" else "")}:
        known &= points[axis] > 0
    return points[known]


def _panel(points: pd.DataFrame, measure: str, name: str, across: alt.X, up: alt.Y, steps: bool) -> Any:
    """The panel of a measure and a part of the table."""
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="measure", equal=measure))
        .transform_filter(alt.FieldEqualPredicate(field="panel", equal=name))
        .encode(x=across)
    )
    title = alt.TitleParams(name, anchor="start", fontSize=11, limit=270)
    return alt.layer(*_layers(base, up, points, steps)).properties(title=title)


def _layers(base: alt.Chart, y: alt.Y, points: pd.DataFrame, steps: bool) -> list[Any]:
    """The lines, and the marks on lines of few points or those that are asked for."""
    names, kinds = list(points["line"].unique()), [kind for kind in points["mark"].unique() if kind]
    lines, marks = curves(base, y, "line", names)
    lines = lines.mark_line(strokeWidth=1.8, interpolate="step-after" if steps else "linear")
    if kinds:
        legend = _legend(kinds, marked=True)
        color, shape = color_of("mark", kinds).legend(legend), shape_of("mark", kinds).legend(legend)
        colored = base.mark_point(filled=True, size=90, opacity=1).encode(y=y, color=color, shape=shape)
        return [lines.encode(color=alt.value(GREY)), colored]
    lengths = points.groupby(["measure", "panel", "line"]).size().groupby("line").max()
    few = [name for name in names if lengths[name] <= FEW]
    legend = _legend(names, marked=bool(few))
    color, shape = color_of("line", names).legend(legend), shape_of("line", names).legend(legend)
    marks = marks.transform_filter(alt.FieldOneOfPredicate(field="line", oneOf=few)).encode(color=color, shape=shape)
    return [lines.encode(color=color), *([marks] if few else [])]


def _legend(names: Sequence[str], marked: bool) -> alt.Legend | None:
    """The names with their marks, or with their strokes. One name needs no legend."""
    if len(names) < 2 and not names[0]:
        return None
    columns = max(LETTERS // (max(map(len, names)) + 5), 1)
    look: dict[str, Any] = {"symbolType": "stroke", "symbolStrokeWidth": 3}
    if marked:
        look = {"symbolOpacity": 1, "symbolStrokeWidth": 0}
    return alt.Legend(title=None, orient="top", labelLimit=400, columns=columns, **look)


def _across(title: str | None, name: str, values: pd.Series, log: bool) -> alt.X:
    low, high = float(values.min()), float(values.max())
    if name == "density":
        ticks = [tick for tick in DENSITIES if low <= tick <= high]
        return density_axis("x", (low / 1.1, high * 1.1), ticks, PER_CENT, name).title(title)
    scale = alt.Scale(type="log" if log else "linear", domain=[low, high], nice=False, padding=6)
    return alt.X("x:Q", title=title, scale=scale, axis=_axis(name, ticks=5))


def _up(title: str | None, points: pd.DataFrame, measure: str, log: bool) -> alt.Y:
    values = points.loc[points["measure"] == measure, "y"]
    domain = [float(values.min()), float(values.max())]
    scale = alt.Scale(type="log" if log else "linear", domain=domain, nice=True)
    return alt.Y("y:Q", title=title, scale=scale, axis=_axis(measure, ticks=4))


def _axis(name: str, ticks: int) -> alt.Axis:
    fraction = is_fraction(name) or any(word in name.lower() for word in FRACTIONS)
    return alt.Axis(labelExpr=PER_CENT if fraction else NUMBER, tickCount=ticks, gridOpacity=0.6, labelOverlap=True)
