"""Draw the learning rate of each arm over its whole run, one panel per arm, with the cycles marked."""

import math

import altair as alt

from lightning_prune.ablation.report.pictures.picture import NOT_HIDDEN, WIDTH, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import listed
from lightning_prune.lab.report.canvas import color_of
from lightning_prune.lab.report.charts import rate_axis, step_axis
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_band, rate_curves
from lightning_prune.lab.report.thinning import thinned
from lightning_prune.lab.report.vega import DATA, Drawing, Rows

NAME, TITLE = "learning_rate", "Learning rate"
CAPTION = "The rate of every optimizer step in the run of each arm with its first seed. A dotted line begins a cycle."
CAPTION_OF_RUNS = "The rate of every optimizer step. A dotted line begins a cycle."
SAMPLED = "Some steps were not logged: the rates between the marks are not known."
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
    without = (
        [arm for arm in runs if arm not in drawn]
        if len(runs) < len(study.arms)
        else [arm for arm in study.arms if arm not in drawn]
    )
    missing = [f"No learning rates were logged of {listed(without)}."] if without else []
    missing += [SAMPLED] if any(row.get("marked") for row in rows) else []
    caption = CAPTION_OF_RUNS if study.of_runs else CAPTION
    spec = specification(_chart(study, rows), rows, {"hidden": []})
    return Picture(NAME, TITLE, caption, spec, " ".join(missing))


def _rows(arm: str, run: Run) -> Rows:
    """The rates of a run, and the first step of each cycle. Sampled rates are marks without a line between them.

    A run that logged neither its rates nor samples of them has the smallest and the largest rate of every epoch.
    """
    exact, band = len(run.rates) > 0, rate_band(run)
    curves = rate_curves(run) or {str(name): band[name] for name in band if band[name].notna().any()}
    curves = {name: thinned(curve.dropna()) for name, curve in curves.items()}
    sampled = not exact and band.empty
    rates: Rows = [
        {"arm": arm, "kind": "rate", "group": name, "step": step,
         "rate": float(f"{rate:.4g}") if math.isfinite(rate) else None,
         "marked": sampled or len(curve) == 1}
        for name, curve in curves.items()
        for step, rate in zip(curve.index.astype(int).tolist(), curve, strict=True)
    ]  # fmt: skip
    starts: Rows = [
        {"arm": arm, "kind": "cycle", "step": start, "cycle": cycle}
        for cycle, start in run.first_steps.items()
        if cycle
    ]
    return [*rates, *starts] if rates else []


def _chart(study: Study, rows: Rows) -> Drawing:
    rates = [row["rate"] for row in rows if row["kind"] == "rate" and row["rate"] is not None]
    y = rate_axis(rates, ticks=3, floor=FLOOR, zero=True).title(None)
    base = alt.Chart().encode(x=step_axis())
    rate = base.transform_filter("datum.kind == 'rate'")
    lines = rate.transform_filter("!datum.marked").mark_line(interpolate="step-after", strokeWidth=1.6)
    marks = rate.transform_filter("datum.marked").mark_point(filled=True, size=12, opacity=1)
    color = color_of("arm", study.arms).legend(None)
    starts = base.transform_filter("datum.kind == 'cycle'").mark_rule(color="#999999", strokeDash=[2, 2])
    drawn = [starts.encode(tooltip=[alt.Tooltip("cycle:Q"), alt.Tooltip("step:Q", title="first step")])]
    if not all(row.get("marked", True) for row in rows):
        drawn.append(lines.encode(y=y, color=color, detail="group:N"))
    if any(row.get("marked") for row in rows):
        drawn.append(marks.encode(y=y, color=color))
    layers = alt.layer(*drawn, data=DATA).properties(width=WIDTH, height=72)
    header = alt.Header(title=None, labelAnchor="start", labelFontWeight="bold", labelPadding=4)
    facet = alt.Facet("arm:N", header=header, sort=study.arms)
    return layers.transform_filter(NOT_HIDDEN).facet(facet=facet, columns=1, spacing=14)
