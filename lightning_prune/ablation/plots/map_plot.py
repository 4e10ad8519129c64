"""Draw tables of numbers as maps of colored cells."""

import json
import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.report.canvas import BLACK, BRIGHT_FROM, WHITE
from lightning_prune.lab.report.vega import DATA, Rows, printed, with_rows

WIDTH, HEIGHT = 46, 24  # points, of a cell
LETTER = 6  # points; a name that is wider than its cell is written upwards
ON_BRIGHT = f"luminance(scale('color', datum.value)) > {BRIGHT_FROM}"


def plot_map(
    table: pd.DataFrame | Mapping[str, pd.DataFrame], form: str = ".1%", ends: tuple[float, float] | None = None
) -> Plot:
    """Draw a table as a map: a cell for each number, the larger the darker, with the number written in it.

    It shows a measure over two things that were varied, such as LMC over temperature and density, the density of each
    layer under each allocation, or how far each two criteria agree. Several maps stand beside each other and have the
    same colors. If they have the same rows, the first map names them.

    Args:
        table: The numbers. The index has the rows from top to bottom, the columns go from left to right, and the names
            of both are the titles of the axes. Several tables: a mapping from the title of each to the table.
        form: How a number is written, such as ``".1%"``, ``"+.3f"`` or ``"d"``.
        ends: The numbers of the brightest and of the darkest color. None: the smallest and the largest number.

    Returns:
        The picture. Its rows have the ``map``, the ``row``, the ``column`` and the ``value``.

    Raises:
        ValueError: If there is no number, a column holds something else, or a row or column occurs twice.

    Example:
        >>> cells = pd.DataFrame({"temperature": [40, 160] * 2, "density": [0.4, 0.4, 0.06, 0.06]})
        >>> cells["lmc"] = [0.0, 0.0, -0.055, -0.669]
        >>> plot = plot_map(cells.pivot(index="temperature", columns="density", values="lmc"), form="+.2f")
        >>> plot.rows[-1]
        {'map': '', 'row': '160', 'column': '0.4', 'value': 0.0}
    """
    tables = {"": table} if isinstance(table, pd.DataFrame) else dict(table)
    for title, one in tables.items():
        _check(title, one)
    rows = [row for title, one in tables.items() for row in _rows(title, one)]
    numbers = [row["value"] for row in rows if row["value"] is not None]
    if not numbers:
        raise UserError("plot_map(table) has nothing to draw: there is no number in it.")
    low, high = ends or (min(numbers), max(numbers))
    scale = alt.Scale(scheme="blues", domain=[low, high if high > low else low + 1], clamp=True)
    shared = len({tuple(map(str, one.index)) for one in tables.values()}) == 1  # then the first map names the rows
    maps = [
        _map(title, one, form, scale, named=number == 0 or not shared)
        for number, (title, one) in enumerate(tables.items())
    ]
    chart = alt.hconcat(*maps, data=DATA, spacing=18).resolve_scale(color="shared", x="independent", y="independent")
    return Plot(printed(with_rows(chart, rows)))


def _check(title: str, table: pd.DataFrame) -> None:
    if not isinstance(table, pd.DataFrame):
        raise UserError(
            f"plot_map({type(table).__name__}) draws a table of pandas, or a mapping from titles to tables."
        )
    if words := [name for name, column in table.items() if not is_numeric_dtype(column)]:
        raise UserError(f"plot_map(table): {', '.join(map(str, words))} must hold numbers.")
    for names, what in ((table.index, "row"), (table.columns, "column")):
        if twice := list(dict.fromkeys(map(str, names[names.astype(str).duplicated()]))):
            raise UserError(
                f"plot_map(table): the {what} {', '.join(twice)} occurs twice{f' in {title!r}' if title else ''}. "
                "Pivot the table to one number a cell."
            )


def _rows(title: str, table: pd.DataFrame) -> Rows:
    """A row for each cell."""
    values = table.astype(float).to_numpy().tolist()
    return [
        {"map": title, "row": str(row), "column": str(column), "value": value if math.isfinite(value) else None}
        for row, numbers in zip(table.index, values, strict=True)
        for column, value in zip(table.columns, numbers, strict=True)
    ]


def _map(title: str, table: pd.DataFrame, form: str, scale: alt.Scale, named: bool) -> Any:
    """The cells of one table, and the number in each."""
    columns, rows = list(map(str, table.columns)), list(map(str, table.index))
    upwards = LETTER * max(map(len, columns), default=0) > WIDTH
    across = alt.Axis(orient="bottom", labelAngle=-40 if upwards else 0, labelLimit=200, domain=False, ticks=False)
    down = alt.Axis(labelLimit=200, domain=False, ticks=False, labels=named)
    base = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="map", equal=title))
        .transform_filter("isValid(datum.value)")
        .encode(
            x=alt.X("column:O", sort=columns, title=_name(table.columns), axis=across),
            y=alt.Y("row:O", sort=rows, title=_name(table.index) if named else None, axis=down),
        )
    )
    cells = base.mark_rect(stroke="white", strokeWidth=1).encode(color=alt.Color("value:Q", scale=scale, legend=None))
    ink = alt.condition(ON_BRIGHT, alt.value(BLACK), alt.value(WHITE))
    numbers = base.mark_text(fontSize=11).transform_calculate(shown=f"format(datum.value, {json.dumps(form)})")
    size = {"width": WIDTH * len(columns), "height": HEIGHT * len(rows)}
    heading = alt.TitleParams(title, anchor="start", fontSize=12, limit=max(size["width"], 120))
    return alt.layer(cells, numbers.encode(text="shown:N", color=ink)).properties(**size, title=heading)


def _name(index: pd.Index) -> str | None:
    return None if index.name is None else str(index.name)
