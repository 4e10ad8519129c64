"""Draw the parts that pictures of a run and of a study share: axes, curves, and the map of densities."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from lightning_prune.lab.report.canvas import BLACK, BRIGHT_FROM, WHITE, color_of, dash_of, shape_of

# The formats of ticks, as expressions of Vega.
PER_CENT = "format(100 * datum.value, '.4~g') + ' %'"
NUMBER = "format(datum.value, '.3~g')"
DENSITIES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
MANY = 400  # Cells of a map. With more cells there is no room for numbers.
ROW, NARROW_ROW = 26, 14  # The height of a row in points, with numbers and without numbers.
# A cell has the same color in light and in dark mode, and so has its number. A cell without any weight is white.
EMPTY = "datum.density == 0"
BRIGHT = f"{EMPTY} || luminance(scale('color', datum.density)) > {BRIGHT_FROM}"
STEEP = 30  # The largest rate over the smallest rate. An axis is logarithmic above this ratio.
SPILL = 16  # Points. A label may stand out beyond the end of its axis by this length.


def density_axis(field: str, ends: tuple[float, float], ticks: Sequence[float], labels: str, title: str) -> alt.X:
    """Make a logarithmic axis of densities, dense on the left.

    Args:
        field: The column of densities.
        ends: The smallest and the largest density of the axis.
        ticks: The densities with a tick.
        labels: The format of the ticks, as an expression of Vega.
        title: The text below the axis.
    """
    axis = alt.Axis(
        values=list(ticks),
        labelExpr=labels,
        labelOverlap="greedy",
        labelSeparation=6,
        labelBound=SPILL,
        title=title,
        gridOpacity=0.6,
    )
    scale = alt.Scale(type="log", reverse=True, nice=False, domain=list(ends))
    return alt.X(f"{field}:Q", scale=scale, axis=axis)


def curves(base: alt.Chart, y: alt.Y, field: str, names: Sequence[str]) -> tuple[alt.Chart, alt.Chart]:
    """Draw a curve for each name, as a line and the marks on the line.

    Args:
        base: A chart with its x.
        y: The vertical axis.
        field: The column that holds the names.
        names: All names, in order.

    Returns:
        The lines and the marks.
    """
    colored = base.encode(y=y, color=color_of(field, names))
    lines = colored.mark_line(strokeWidth=2).encode(strokeDash=dash_of(field, names))
    return lines, colored.mark_point(filled=True, size=70, opacity=1).encode(shape=shape_of(field, names))


def density_map(base: alt.Chart, lowest: float, digits: int, tooltip: Sequence[alt.Tooltip] = ()) -> list[alt.Chart]:
    """Draw the column ``density`` as colored cells with a number on each.

    Args:
        base: A chart with its x and its y.
        lowest: The smallest density above 0.
        digits: The number of digits of a percentage. 0 for no numbers.
        tooltip: The facts about a cell that the page shows under the pointer.

    Returns:
        The cells, and the numbers if there are any.
    """
    ends = [min(lowest, 0.5), 1.0]
    legend = alt.Legend(
        title=None,
        orient="bottom",
        gradientLength=200,
        values=[density for density in DENSITIES if density >= ends[0]],
        labelExpr=PER_CENT,
        labelOverlap="greedy",
    )
    scale = alt.Scale(type="log", domain=ends, scheme="cividis", clamp=True)
    color = alt.condition(EMPTY, alt.value(WHITE), alt.Color("density:Q", scale=scale, legend=legend))
    cells = base.mark_rect(stroke="white", strokeWidth=1).encode(color=color)
    dark_on_light = alt.condition(BRIGHT, alt.value(BLACK), alt.value(WHITE))
    numbers = base.transform_calculate(shown=f"format(100 * datum.density, '.{digits}~r')").mark_text(fontSize=11)
    cells = cells.encode(tooltip=list(tooltip)) if tooltip else cells
    return [cells, numbers.encode(text="shown:N", color=dark_on_light)] if digits else [cells]


def step_axis(**scale: Any) -> alt.X:
    """Make the horizontal axis of optimizer steps.

    Args:
        **scale: Properties of the scale, such as ``domain``.
    """
    axis = alt.Axis(grid=False, labelOverlap="parity", labelSeparation=8)  # Numbers that touch read as one.
    return alt.X("step:Q", title="optimizer step", axis=axis, scale=alt.Scale(**scale))


def rate_axis(rates: Iterable[float], ticks: int, floor: float, zero: bool, field: str = "rate") -> alt.Y:
    """Make the vertical axis of learning rates. It is logarithmic if the rates differ much.

    Args:
        rates: All rates. Rates that are not positive and finite do not count.
        ticks: The approximate number of ticks of a linear axis.
        floor: The smallest rate of a logarithmic axis, as a share of the largest rate. Smaller rates are drawn at the
            end of the axis.
        zero: Whether a linear axis begins at 0.
        field: The column of rates.
    """
    positive = [rate for rate in rates if 0 < rate < float("inf")]
    low, high = min(positive, default=1e-4), max(positive, default=1.0)
    if high <= STEEP * low:
        return alt.Y(f"{field}:Q", scale=alt.Scale(zero=zero), axis=alt.Axis(format="~g", tickCount=ticks))
    ends = [max(low, high * floor) / 1.3, high * 1.3]
    powers = [10.0**power for power in range(-12, 4) if ends[0] <= 10.0**power <= ends[1]]
    scale = alt.Scale(type="log", domain=ends, clamp=True, nice=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=alt.Axis(format="~g", tickCount=ticks, values=powers or alt.Undefined))
