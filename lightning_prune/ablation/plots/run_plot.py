"""Draw runs over their steps: the learning rate, the density, and the metric."""

import math
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import choose_columns, is_fraction
from lightning_prune.lab.report.canvas import COLORS, color_of
from lightning_prune.lab.report.charts import NUMBER, PER_CENT, rate_axis, step_axis
from lightning_prune.lab.report.cycle_table import cycle_table
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_band, rate_curves
from lightning_prune.lab.report.read_run import read_runs
from lightning_prune.lab.report.thinning import thinned
from lightning_prune.lab.report.vega import DATA, Rows, printed, with_rows

WIDTH, HEIGHT = 560, 110
LEGEND = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, labelLimit=240)
RATE, DENSITY, START = "learning rate", "density", "cycle"


def plot_run(run: Any, *others: Any, metric: str | None = None) -> Plot:
    """Draw a run over its optimizer steps: the learning rate, the density and the metric, one panel below the other.

    A dotted line begins a cycle. Several runs share the panels, each in a color of its own.

    Args:
        run: The folder of a run with ``metrics.csv``, or the ``Trainer`` that has trained it with a ``CSVLogger``.
        others: Further runs.
        metric: A logged metric. None: the validation accuracy, or the validation loss.

    Returns:
        The picture. Its rows have the run, the ``panel``, the ``step`` and the ``value``.

    Raises:
        FileNotFoundError: If there is no run in a folder.
        ValueError: If the metric was not logged, or a trainer has logged nothing.
    """
    runs = read_runs([_folder(one) for one in (run, *others)])
    names = list(dict.fromkeys(str(name) for one in runs for name in one.rows))
    if metric is not None and metric not in names:
        raise UserError(f"plot_run(metric={metric!r}) was not logged.{suggest(metric, names)}")
    chosen = choose_columns(names, metric).metric
    rows: Rows = [row for one in runs for row in _rows(one, chosen)]
    drawn = [panel for panel in (RATE, DENSITY, chosen) if any(row["panel"] == panel for row in rows)]
    color = color_of("run", [one.name for one in runs]).legend(LEGEND) if len(runs) > 1 else alt.value(COLORS[0])
    panels = [_panel(str(panel), rows, color, last=panel == drawn[-1]) for panel in drawn]
    return Plot(printed(with_rows(alt.vconcat(*panels, data=DATA, spacing=8), rows)))


def _folder(run: Any) -> Path:
    if isinstance(run, str | Path):
        return Path(run)
    folder = getattr(run, "log_dir", None)
    if folder is None or not (Path(folder) / "metrics.csv").is_file():
        raise UserError(
            f"plot_run({type(run).__name__}) draws the folder of a run, or a Trainer that has logged into one. Train "
            "with Trainer(logger=CSVLogger('runs'))."
        )
    return Path(folder)


def _rows(run: Run, metric: str | None) -> Rows:
    """The points of all panels of one run."""
    table = cycle_table(run, choose_columns([str(name) for name in run.rows]))
    densities = pd.Series([*table["density"], table["density"].iloc[-1]], [*table["first_step"], run.steps])
    found = {RATE: _rates(run), DENSITY: densities}
    if metric in run.rows:
        found[str(metric)] = run.rows.dropna(subset=[metric]).set_index("step")[metric]
    points: Rows = [
        {"run": run.name, "panel": panel, "step": int(step), "value": float(f"{value:.6g}")}
        for panel, curve in found.items()
        for step, value in zip(curve.index.tolist(), curve.tolist(), strict=True)
        if math.isfinite(value)
    ]
    starts: Rows = [
        {"run": run.name, "panel": START, "step": step, "value": cycle}
        for cycle, step in run.first_steps.items()
        if cycle
    ]
    return [*points, *starts]


def _rates(run: Run) -> pd.Series:
    """The learning rate of the first parameter group, or the largest of every epoch where only this was logged."""
    curves = list(rate_curves(run).values())
    if curves:
        return thinned(curves[0].dropna())
    band = rate_band(run)
    return band[band.columns[-1]].dropna() if len(band) else pd.Series(dtype=float)


def _panel(panel: str, rows: Rows, color: Any, last: bool) -> Any:
    values = [row["value"] for row in rows if row["panel"] == panel]
    steps = step_axis(domain=[0, max(row["step"] for row in rows)], nice=False)
    base = alt.Chart().encode(x=steps if last else steps.title(None))
    starts = base.transform_filter(f"datum.panel == '{START}'").mark_rule(color="#999999", strokeDash=[2, 2])
    lines = base.transform_filter(alt.FieldEqualPredicate(field="panel", equal=panel))
    if panel == RATE:
        y: Any = rate_axis(values, ticks=3, floor=1e-4, zero=True, field="value")
    else:
        fraction = panel == DENSITY or is_fraction(panel)
        axis = alt.Axis(labelExpr=PER_CENT if fraction else NUMBER, tickCount=4, gridOpacity=0.6)
        y = alt.Y("value:Q", axis=axis, scale=alt.Scale(zero=panel == DENSITY, nice=True))
    shape: Any = "step-after" if panel in (RATE, DENSITY) else "linear"
    lines = lines.mark_line(interpolate=shape, strokeWidth=1.8).encode(y=y.title(panel), color=color, detail="run:N")
    return alt.layer(starts, lines).properties(width=WIDTH, height=HEIGHT)
