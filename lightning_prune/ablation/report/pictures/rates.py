"""Draw the learning rate of each arm over its whole run, one panel per arm, with the cycles marked."""

import altair as alt

from lightning_prune.ablation.report.pictures.picture import NOT_HIDDEN, WIDTH, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import listed
from lightning_prune.lab.report.canvas import color_of
from lightning_prune.lab.report.charts import rate_axis, step_axis
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_curves
from lightning_prune.lab.report.thinning import thinned
from lightning_prune.lab.report.vega import DATA, Drawing, Rows

NAME, TITLE = "learning_rate", "Learning rate"
CAPTION = "The rate of every optimizer step in the run of each arm with its first seed. A dotted line begins a cycle."
FLOOR = 1e-4  # The smallest rate of an axis as a share of the largest rate, because the panels are low.


def draw_rates(study: Study, runs: dict[str, Run]) -> Picture:
    """Draw the learning rates. Parameter groups with different rates are separate lines.

    Args:
        study: The study.
        runs: Arm -> its run.
    """
    rows = [row for arm, run in runs.items() for row in _rows(arm, run)]
    drawn = {row["arm"] for row in rows if row["kind"] == "rate"}
    if not drawn:
        return Picture(NAME, TITLE, missing="No learning rates were logged.")
    without = [arm for arm in study.arms if arm not in drawn]
    missing = f"No learning rates were logged of {listed(without)}." if without else ""
    return Picture(NAME, TITLE, CAPTION, specification(_chart(study, rows), rows, {"hidden": []}), missing)


def _rows(arm: str, run: Run) -> Rows:
    curves = {name: thinned(curve.dropna()) for name, curve in rate_curves(run).items()}
    rates: Rows = [
        {"arm": arm, "kind": "rate", "group": name, "step": step, "rate": float(f"{rate:.4g}")}
        for name, curve in curves.items()
        for step, rate in zip(curve.index.astype(int).tolist(), curve, strict=True)
    ]
    starts: Rows = [
        {"arm": arm, "kind": "cycle", "step": start, "cycle": cycle}
        for cycle, start in run.first_steps.items()
        if cycle
    ]
    return [*rates, *starts] if rates else []


def _chart(study: Study, rows: Rows) -> Drawing:
    rates = [row["rate"] for row in rows if row["kind"] == "rate"]
    y = rate_axis(rates, ticks=3, floor=FLOOR, zero=True).title(None)
    base = alt.Chart().encode(x=step_axis())
    lines = base.transform_filter("datum.kind == 'rate'").mark_line(interpolate="step-after", strokeWidth=1.6)
    starts = base.transform_filter("datum.kind == 'cycle'").mark_rule(color="#999999", strokeDash=[2, 2])
    layers = alt.layer(
        starts.encode(tooltip=[alt.Tooltip("cycle:Q"), alt.Tooltip("step:Q", title="first step")]),
        lines.encode(y=y, color=color_of("arm", study.arms).legend(None), detail="group:N"),
        data=DATA,
    ).properties(width=WIDTH, height=72)
    header = alt.Header(title=None, labelAnchor="start", labelFontWeight="bold", labelPadding=4)
    facet = alt.Facet("arm:N", header=header, sort=study.arms)
    return layers.transform_filter(NOT_HIDDEN).facet(facet=facet, columns=1, spacing=14)
