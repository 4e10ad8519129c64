"""Draw the learning rate of each arm over its whole run, one panel per arm, with the cycles marked."""

import altair as alt
import numpy as np
import pandas as pd

from lightning_prune.ablation.report.pictures.picture import (
    DATA,
    NOT_HIDDEN,
    WIDTH,
    Drawing,
    Picture,
    Rows,
    colour_of,
    specification,
)
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import listed
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_curves

NAME, TITLE = "learning_rate", "Learning rate"
CAPTION = "The rate of every optimizer step in the run of each arm with its first seed. A dotted line begins a cycle."
FEW = 1000  # Points of a curve. More cannot be told apart.
# Parts of the steps. Of each part at most four points are kept, and two where the rate only rises or falls.
STRETCHES = FEW // 3
# The number of kept jumps that are no ends of plateaus, and their least size as a share of the larger rate.
JUMPS, JUMP = FEW // 10, 0.05
STEEP, FLOOR = 30, 1e-4


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
    curves = {name: _thinned(curve.dropna()) for name, curve in rate_curves(run).items()}
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


def _thinned(curve: pd.Series) -> pd.Series:
    """Leave out points that the picture would not show. Jumps and plateaus stay.

    A row stands for all steps until the next row. Therefore stretches are counted in steps and not in rows. A plateau
    is one row, and would be lost beside a rate that changes with every step. The first, the last, the lowest and the
    highest row of every stretch are kept. Every row that lasts long enough to be seen is kept with its neighbors. Both
    sides of the largest other jumps are kept.
    """
    if len(curve) <= FEW:
        return curve
    steps, rates = curve.index.to_numpy(dtype=float), curve.to_numpy(dtype=float)
    span = max(steps[-1] - steps[0], 1.0)
    stretch = np.minimum((steps - steps[0]) * STRETCHES // span, STRETCHES - 1)
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    numbered = pd.Series(rates).groupby(stretch)
    long = np.flatnonzero(np.diff(steps, append=steps[-1]) >= span / FEW)
    before = _jumps(rates)
    extremes = [numbered.idxmin().to_numpy(), numbered.idxmax().to_numpy()]
    kept = [*extremes, begins, begins - 1, long - 1, long, long + 1, before, before + 1, np.array([len(rates)])]
    return curve.iloc[np.unique(np.concatenate(kept).astype(int).clip(0, len(rates) - 1))]


def _jumps(rates: np.ndarray) -> np.ndarray:
    """The rows before the largest jumps."""
    size = np.abs(np.diff(rates)) / np.maximum(np.maximum(np.abs(rates[1:]), np.abs(rates[:-1])), 1e-30)
    largest = np.argsort(-size, kind="stable")[:JUMPS]
    return np.asarray(largest[size[largest] > JUMP])


def _chart(study: Study, rows: Rows) -> Drawing:
    rates = [row["rate"] for row in rows if row["kind"] == "rate" and row["rate"] > 0]
    low, high = min(rates, default=1e-4), max(rates, default=1.0)
    steep = high > STEEP * low
    lowest = max(low, high * FLOOR)
    scale = alt.Scale(type="log", domain=[lowest / 1.3, high * 1.3], clamp=True, nice=False) if steep else alt.Scale()
    powers = [10.0**power for power in range(-12, 4) if lowest / 1.3 <= 10.0**power <= high * 1.3]
    axis = alt.Axis(format="~g", tickCount=3, values=powers if steep and powers else alt.Undefined)
    steps = alt.Axis(grid=False, labelOverlap="parity", labelSeparation=8)  # Numbers that touch read as one.
    base = alt.Chart().encode(x=alt.X("step:Q", title="optimizer step", axis=steps))
    y = alt.Y("rate:Q", title=None, scale=scale, axis=axis)
    lines = base.transform_filter("datum.kind == 'rate'").mark_line(interpolate="step-after", strokeWidth=1.6)
    starts = base.transform_filter("datum.kind == 'cycle'").mark_rule(color="#999999", strokeDash=[2, 2])
    layers = alt.layer(
        starts.encode(tooltip=[alt.Tooltip("cycle:Q"), alt.Tooltip("step:Q", title="first step")]),
        lines.encode(y=y, color=colour_of(study.arms).legend(None), detail="group:N"),
        data=DATA,
    ).properties(width=WIDTH, height=72)
    header = alt.Header(title=None, labelAnchor="start", labelFontWeight="bold", labelPadding=4)
    facet = alt.Facet("arm:N", header=header, sort=study.arms)
    return layers.transform_filter(NOT_HIDDEN).facet(facet=facet, columns=1, spacing=14)
