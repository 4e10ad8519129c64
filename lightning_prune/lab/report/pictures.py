"""Draw the pictures of a run: accuracy over density, and the density of every layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.canvas import GREY, color_of, shape_of
from lightning_prune.lab.report.charts import (
    DENSITIES,
    MANY,
    NUMBER,
    PER_CENT,
    ROW,
    curves,
    density_axis,
    density_map,
)
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records, write_png

WIDTH, HEIGHT = 468, 256  # Points. With axes and margins a panel has about 540 by 324 points.
COLUMN = 40  # The width of a column of the map in points.
ROOM = 1.08  # The factor by which the axis of densities goes on at both ends.
DENSITY = "density: prunable weights that are left (dense on the left, sparse on the right)"


def accuracy_over_density(path: Path, runs: Mapping[str, pd.Series], title: str = "") -> Path:
    """Draw a metric over the density, one curve per run, from dense on the left to sparse on the right.

    Args:
        path: The PNG file to write.
        runs: Name of the run -> values over density. Each series is named after its metric. Every metric has its own
            panel.
        title: The text above the picture.

    Returns:
        ``path``.
    """
    metrics = list(dict.fromkeys(str(curve.name) for curve in runs.values()))
    lowest = min(float(curve.index.min()) for curve in runs.values())
    panels = [_panel(metric, list(runs), lowest) for metric in metrics]
    return write_png(path, alt.vconcat(*panels, title=_title(title)), _rows(runs))


def density_per_layer(path: Path, layers: pd.DataFrame, title: str = "") -> Path:
    """Draw the density of each tensor in each cycle as a map.

    Args:
        path: The PNG file to write.
        layers: The densities in [0, 1], with a row per tensor and a column per cycle.
        title: The name of the run.

    Returns:
        ``path``.
    """
    tall = layers.rename_axis("tensor").reset_index().melt("tensor", var_name="cycle", value_name="density").dropna()
    densities = tall["density"].to_numpy(dtype=float)
    lowest = float(densities[densities > 0].min(initial=1.0))
    names = [str(name) for name in layers.index]
    base = alt.Chart(DATA).encode(
        x=alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("tensor:N", title=None, sort=names, axis=alt.Axis(labelLimit=0, domain=False, ticks=False)),
    )
    said = f"{title}: weights left in each tensor, in %".removeprefix(": ")
    cells = alt.layer(*density_map(base, lowest, digits=3 if layers.size <= MANY else 0))
    size = {"width": COLUMN * max(layers.shape[1], 8), "height": ROW * len(names)}
    return write_png(path, cells.properties(**size, title=_title(said)), records(tall))


def _rows(runs: Mapping[str, pd.Series]) -> Rows:
    """The points of all runs, and for each metric the level of the dense network, if it is the same in all runs."""
    points = [row for index, (name, curve) in enumerate(runs.items()) for row in _points(curve, name, index)]
    dense: dict[str, list[float]] = {}
    for row in points:
        if row["density"] >= 1:
            dense.setdefault(row["metric"], []).append(row["value"])
    return [*({"kind": "dense", "metric": metric, "value": values[0]} for metric, values in dense.items()
              if np.allclose(values, values[0], rtol=1e-4, atol=0)), *points]  # fmt: skip


def _points(curve: pd.Series, run: str, index: int) -> Rows:
    """The points of one run. A curve below another curve is wider, so that its edges are still visible."""
    known = curve[np.isfinite(curve)]
    width = max(2.6 - 0.5 * index, 1.4)
    shared = {"kind": "point", "metric": str(curve.name), "run": run, "width": width, "area": (3 + 2 * width) ** 2}
    return [{"density": density, "value": value, **shared} for density, value in known.items()]


def _panel(metric: str, names: Sequence[str], lowest: float) -> Drawing:
    ticks = [density for density in DENSITIES if density >= lowest / ROOM]
    axis = alt.Axis(labelExpr=PER_CENT if is_fraction(metric) else NUMBER, gridOpacity=0.6)
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, nice=True, padding=8), axis=axis)
    x = density_axis("density", (lowest / ROOM, ROOM), ticks, PER_CENT, DENSITY)
    base = alt.Chart(DATA).transform_filter(alt.datum.metric == metric)
    lines, points = curves(base.transform_filter("datum.kind == 'point'").encode(x=x), y, "run", names)
    if len(names) == 1:  # The title names the run.
        color, shape = color_of("run", names).legend(None), shape_of("run", names).legend(None)
        lines, points = lines.encode(color=color), points.encode(color=color, shape=shape)
    lines = lines.encode(strokeWidth=alt.StrokeWidth("width:Q", scale=None))
    points = points.encode(size=alt.Size("area:Q", scale=None))
    level = base.transform_filter("datum.kind == 'dense'").encode(y=y)
    text = level.mark_text(text="dense", color=GREY, align="right", baseline="bottom", dx=-2, fontSize=10)
    layers = [level.mark_rule(color=GREY, strokeDash=[4, 3]), text.encode(x=alt.value(WIDTH)), lines, points]
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="middle", fontWeight="normal")
