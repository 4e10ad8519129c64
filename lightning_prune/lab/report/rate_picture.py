"""Draw the learning rate of a run over its steps, with the cycles marked."""

from pathlib import Path

import altair as alt
import pandas as pd

from lightning_prune.lab.report.canvas import GREY, color_of, dash_of
from lightning_prune.lab.report.charts import rate_axis, step_axis
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import RANGE, rate_band, rate_curves
from lightning_prune.lab.report.thinning import thinned
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records, write_png

WIDTH, HEIGHT = 648, 236  # Points. With axes and margins the picture has about 720 by 324 points.
PALE = "#cccccc"
MANY_CYCLES = 25  # With more cycles there is no room for all their numbers.
FEW = 40  # Points of a sampled curve. A curve with fewer points has a mark at each point.
FLOOR = 1e-6


def draw_learning_rate(path: Path, run: Run) -> Path | None:
    """Draw every parameter group's rate over the whole run, with the cycles marked.

    Args:
        path: The PNG file to write.
        run: The run.

    Returns:
        ``path``. ``None`` if no learning rate was logged at all.
    """
    curves, band = rate_curves(run), rate_band(run)
    if not curves and band.empty:
        return None
    rows = [*_cycles(run), *_band(band), *(row for name, curve in curves.items() for row in _curve(run, name, curve))]
    return write_png(path, _chart(run, rows, list(curves)), rows)


def _curve(run: Run, name: str, curve: pd.Series) -> Rows:
    """The points of a parameter group. They are marked if they are too few to show as a line."""
    exact = len(run.rates) > 0
    count = int(curve.notna().sum())
    marked = count < 2 or (not exact and count < FEW)
    shown = thinned(curve) if exact else curve
    points = records(pd.DataFrame({"step": shown.index, "rate": shown.to_numpy()}))
    return [{"kind": "rate", "group": name, "marked": marked, **point} for point in points]


def _band(band: pd.DataFrame) -> Rows:
    ends = pd.DataFrame({"step": band.index, "rate": band[RANGE[0]].to_numpy(), "high": band[RANGE[1]].to_numpy()})
    return records(ends.assign(kind="band"))


def _cycles(run: Run) -> Rows:
    """The first step of each cycle, and the name above the cycle if there is room."""
    starts = list(run.first_steps.items())
    ends = [*(start for _, start in starts[1:]), _last_step(run)]
    every = 1 + len(starts) // MANY_CYCLES
    return [
        {
            "kind": "cycle",
            "step": start,
            "cycle": cycle,
            "middle": (start + end) / 2,
            "name": (str(cycle) if cycle else "dense") if cycle % every == 0 and end > start else "",
        }
        for (cycle, start), end in zip(starts, ends, strict=True)
    ]


def _last_step(run: Run) -> int:
    return max(run.steps, *run.first_steps.values())


def _chart(run: Run, rows: Rows, groups: list[str]) -> Drawing:
    rates = [row[name] for row in rows for name in ("rate", "high") if row.get(name) is not None]
    base = alt.Chart(DATA).encode(x=step_axis(domain=[0, max(_last_step(run), 1)], nice=False))
    y = rate_axis(rates, ticks=6, floor=FLOOR, zero=False).title("learning rate")
    banded = any(row["kind"] == "band" for row in rows)
    named = len(groups) + banded > 1
    drawn = _drawn_curves(base, y, groups, exact=len(run.rates) > 0, named=named)
    title = alt.TitleParams(
        f"{run.name}: learning rate in each cycle",
        subtitle="gray: range in the epoch" if banded else alt.Undefined,
        fontWeight="normal",
        offset=8,
    )
    layers = alt.layer(*_drawn_cycles(base), *([_drawn_band(base, y)] if banded else []), *drawn)
    return layers.properties(width=WIDTH, height=HEIGHT, title=title)


def _drawn_cycles(base: alt.Chart) -> list[alt.Chart]:
    cycles = base.transform_filter("datum.kind == 'cycle'")
    starts = cycles.transform_filter("datum.cycle > 0").mark_rule(color=GREY, strokeDash=[1, 2])
    names = cycles.mark_text(color=GREY, baseline="bottom", fontSize=10).encode(
        x="middle:Q", y=alt.value(-4), text="name:N"
    )
    return [starts, names]


def _drawn_band(base: alt.Chart, y: alt.Y) -> alt.Chart:
    edge = {"color": PALE, "strokeWidth": 1.5}
    bands: alt.Chart = base.transform_filter("datum.kind == 'band'")
    area: alt.Chart = bands.mark_area(interpolate="step-after", opacity=1, color=PALE, line=edge)
    return area.encode(y=y, y2=alt.Y2("high:Q"))


def _drawn_curves(base: alt.Chart, y: alt.Y, groups: list[str], exact: bool, named: bool) -> list[alt.Chart]:
    legend = alt.Legend(
        title=None, orient="bottom", columns=4, labelLimit=300, symbolType="stroke", symbolStrokeWidth=2
    )
    color = color_of("group", groups).legend(legend if named else None)
    rates = base.transform_filter("datum.kind == 'rate'").encode(y=y, color=color)
    lines = rates.mark_line(interpolate="step-after" if exact else "linear", strokeWidth=1.6)
    points = rates.transform_filter("datum.marked").mark_point(filled=True, size=30, opacity=1)
    return [lines.encode(strokeDash=dash_of("group", groups)), points]
