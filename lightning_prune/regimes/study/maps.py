"""Draw maps of error, LMC and CKA over temperature and load, with the borders of the regimes."""

import json
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from lightning_prune.lab.report.vega import DATA, Rows, Spec, records, with_rows

CELL = 62  # pixels
CELLS = alt.Chart(DATA).transform_filter("!datum.is_border")
MAPS = {
    "error": ("Test error of the copies", "error", ".1%", "orangered"),  # its high end is dark, that of viridis light
    "lmc": ("Linear mode connectivity (LMC)", "lmc", "+.3f", "viridis"),
    "cka": ("Similarity of the copies (CKA)", "cka", ".3f", "viridis"),
}
LEAST = {"lmc": (-0.1, 0.0), "cka": (0.95, 1.0)}  # what colors span at least, so that noise does not look like a regime
SUBTITLE = ["Lines are borders of the regimes.", "A ring marks the temperature that `choose` takes."]


@dataclass(frozen=True)
class Map:
    """A drawn map.

    Args:
        name: The name of its files.
        title: Its title.
        spec: What is drawn, in Vega-Lite.
    """

    name: str
    title: str
    spec: Spec


def draw_maps(cells: pd.DataFrame) -> list[Map]:
    """Draw the maps of a study.

    Args:
        cells: The cells, with their regimes.

    Returns:
        The maps. A map without a value is left out.
    """
    return [Map(name, entry[0], _spec(cells, *entry)) for name, entry in MAPS.items() if cells[entry[1]].notna().any()]


def borders_of(regimes: dict[tuple[int, int], str]) -> Rows:
    """Find the edges between neighboring cells of other regimes.

    Args:
        regimes: From the place of a cell (column, row) to its regime.

    Returns:
        Lines with ``x``, ``x2``, ``y`` and ``y2``. A cell lies from half below to half above its place.

    Example:
        >>> borders_of({(0, 0): "I", (1, 0): "II-B"})
        [{'x': 0.5, 'x2': 0.5, 'y': -0.5, 'y2': 0.5}]
    """
    found: Rows = []
    for (column, row), regime in regimes.items():
        if regimes.get((column + 1, row), regime) != regime:
            found.append({"x": column + 0.5, "x2": column + 0.5, "y": row - 0.5, "y2": row + 0.5})
        if regimes.get((column, row + 1), regime) != regime:
            found.append({"x": column - 0.5, "x2": column + 0.5, "y": row + 0.5, "y2": row + 0.5})
    return found


def _spec(cells: pd.DataFrame, title: str, column: str, form: str, scheme: str) -> Spec:
    columns, rows = list(cells["density"].unique()), list(cells["temperature"].unique())
    span = _span(cells[column])
    dark = _is_dark(cells[column], span, dark_is_high=scheme == "orangered")
    placed = _placed(cells, columns, rows).assign(is_dark=dark)
    edges = borders_of(dict(zip(zip(placed["column"], placed["row"], strict=True), placed["regime"], strict=True)))
    x = alt.X("left:Q", title="load: density", scale=_scale(len(columns)), axis=_axis([f"{d:.3g}" for d in columns]))
    y = alt.Y("top:Q", title="temperature, as written", scale=_scale(len(rows)), axis=_axis(list(map(str, rows))))
    legend = alt.Legend(format=form, title=None)
    color = alt.Color(f"{column}:Q", scale=alt.Scale(scheme=scheme, domain=span), legend=legend)  # type: ignore[arg-type]
    tiles = CELLS.mark_rect().encode(x=x, x2="right", y=y, y2="bottom", color=color)
    borders = alt.Chart(DATA).transform_filter("datum.is_border").encode(x="x:Q", x2="x2", y="y:Q", y2="y2")
    lines = [borders.mark_rule(strokeWidth=width, color=ink) for width, ink in ((5, "white"), (2.5, "black"))]
    heading = alt.TitleParams(title, subtitle=SUBTITLE, anchor="start", fontSize=15, offset=10)
    size = {"width": CELL * len(columns), "height": CELL * len(rows)}
    chart = alt.layer(tiles, *lines, *_said(column, form)).properties(**size, title=heading)
    return with_rows(chart, [*records(placed.assign(is_border=False)), *({**one, "is_border": True} for one in edges)])


def _placed(cells: pd.DataFrame, columns: list[Any], rows: list[Any]) -> pd.DataFrame:
    """The cells with their places, and with the edges of their tiles."""
    column = cells["density"].map(columns.index)
    row = cells["temperature"].map(rows.index)
    edges = {"left": column - 0.5, "right": column + 0.5, "top": row - 0.5, "bottom": row + 0.5}
    return cells.assign(column=column, row=row, **edges)


def _span(values: pd.Series) -> list[float]:
    """The values that the colors go from and to."""
    low, high = LEAST.get(str(values.name), (float("inf"), float("-inf")))
    return [min(low, float(values.min())), max(high, float(values.max()))]


def _is_dark(values: pd.Series, span: list[float], dark_is_high: bool) -> pd.Series:
    """Which tiles are so dark that what stands on them has to be white."""
    place = (values - span[0]) / ((span[1] - span[0]) or 1.0)
    found: pd.Series = place.gt(0.6) if dark_is_high else place.lt(0.6)
    return found


def _said(column: str, form: str) -> list[alt.Chart]:
    """The ring around the chosen cell, and the value and the regime in each cell, readable on every color."""
    ink = alt.condition("datum.is_dark", alt.value("white"), alt.value("black"))
    middle = CELLS.encode(x="column:Q", y="row:Q", color=ink)
    ring = middle.transform_filter("datum.is_chosen").mark_point(shape="circle", size=2300, strokeWidth=2, opacity=1)
    value = middle.mark_text(fontSize=11, dy=-6).encode(text=alt.Text(f"{column}:Q", format=form))
    return [ring, value, middle.mark_text(fontSize=10, dy=8).encode(text="regime:N")]


def _scale(count: int) -> alt.Scale:
    return alt.Scale(domain=[-0.5, count - 0.5], nice=False, zero=False)


def _axis(labels: list[str]) -> alt.Axis:
    return alt.Axis(
        values=list(range(len(labels))),
        labelExpr=f"{json.dumps(labels)}[datum.value]",
        grid=False,
        tickSize=0,
        domain=False,
        minExtent=6 * max(map(len, labels)),  # the width of what `labelExpr` writes is not known to the layout
    )
