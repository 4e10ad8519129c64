"""Draw the Pareto view: the metric over what a network costs, with a line through the points that nothing beats."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.network_costs import GAINS, LATENCY, network_costs
from lightning_prune.ablation.report.pictures.axes import PER_CENT, heading, limits, measure_axis
from lightning_prune.ablation.report.pictures.cost import UNITS, costs_of
from lightning_prune.ablation.report.pictures.picture import NOT_HIDDEN, Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.comparison import summary
from lightning_prune.ablation.results.table_checks import lower_wins
from lightning_prune.lab.report.canvas import GREY, color_of, shape_of
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

NAME, TITLE = "pareto", "Pareto view"
CAPTION = (
    "Each mark is the mean at the end of a cycle. The line joins the best marks: no other mark has a better mean for "
    "the same cost or less. Epochs and seconds are counted from the first step, without shared work. Over the weights "
    "left, compression and theoretical speed-up, the best marks are on the upper right. Over all else they are on the "
    "upper left. Compression is the number of all parameters over the number of those left. The theoretical speed-up "
    "is the same of operations. Both are of the first seed. Milliseconds were measured by lightning-prune profile."
)
WEIGHTS = "weights left"
ROOM = 1.12  # The factor by which the axis goes on at both ends.
MANY = 7  # Ticks.


def draw_pareto(study: Study, chosen: str, runs: Mapping[str, Run] | None = None) -> Picture | None:
    """Draw each measure over what the networks cost to use and to train. ``None`` if there is only one arm.

    Args:
        study: The study.
        chosen: The label of the measure to show first.
        runs: A run of each arm, which tells what its networks cost to use. None: only the weights left are known.
    """
    if len(study.arms) < 2:
        return None
    costs = {**_costs(study), **network_costs(runs or {})}
    rows: Rows = [
        row for measure in study.measures for unit, cost in costs.items() for row in _rows(study, measure, unit, cost)
    ]
    if not rows:
        return Picture(NAME, TITLE, missing="No arm has a result after the dense run yet.")
    units = [unit for unit in costs if any(row["unit"] == unit for row in rows)]
    ends = {measure.label: limits([row["mean"] for row in rows if row["measure"] == measure.label], measure.range)
            for measure in study.measures}  # fmt: skip
    places = {unit: sorted({row["cost"] for row in rows if row["unit"] == unit}) for unit in units}
    first = {
        "unit": units[0],
        "measure": chosen,
        "hidden": [],
        "limits": ends,
        "ticks": {unit: _spread(found) for unit, found in places.items()},
        "ends": {unit: [found[0] / ROOM, found[-1] * ROOM] for unit, found in places.items()},
    }
    labels = [measure.label for measure in study.measures]
    choices = [Choice("unit", "Cost in", units, units[0]), Choice("measure", "Measure", labels, chosen)]
    return Picture(NAME, TITLE, CAPTION, specification(_chart(study), rows, first), choices=choices)


def front(costs: Sequence[float], values: Sequence[float], lower: bool) -> list[bool]:
    """Find the points that no other point beats.

    Args:
        costs: The cost of each point.
        values: The result of each point.
        lower: Whether a lower result is better.

    Returns:
        For each point, whether every other point costs more or has a worse result. Of equal points the first counts.

    Example:
        >>> front([1, 2, 3, 3], [0.7, 0.6, 0.9, 0.9], lower=False)
        [True, False, True, False]
    """
    sign = -1 if lower else 1
    found = [False] * len(costs)
    highest = float("-inf")
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], -sign * values[index], index)):
        if sign * values[index] > highest:
            found[index], highest = True, sign * values[index]
    return found


def _costs(study: Study) -> dict[str, pd.DataFrame]:
    """The cost of each arm at the end of each cycle, in every unit that was measured."""
    weights = study.table.groupby(["arm", "cycle"])["density"].mean().rename("cost").reset_index()
    measured = [unit for unit in UNITS if unit in study.table and study.table[unit].notna().any()]
    spent = {unit: costs_of(study.table, unit).rename(columns={"alone": "cost"}) for unit in measured}
    return {WEIGHTS: weights, **spent}


def _rows(study: Study, measure: Measure, unit: str, cost: pd.DataFrame) -> Rows:
    found = summary(study.table, measure.column).drop(columns="density")
    found = found.merge(cost[["arm", "cycle", "cost"]], on=["arm", "cycle"])
    densities = study.table.groupby(["arm", "cycle"])["density"].mean().rename("density").reset_index()
    found = found.merge(densities, on=["arm", "cycle"])
    found = found[(found["cycle"] > 0) & (found["cost"] > 0) & found["mean"].notna()].reset_index(drop=True)
    lower = lower_wins(measure.column, study.mode)
    costs = -found["cost"] if unit in GAINS else found["cost"]
    found["front"] = front(costs.tolist(), found["mean"].tolist(), lower)
    found["value"] = [score(measure.label, mean) for mean in found["mean"]]
    found["at"] = [percent(density) for density in found["density"]]
    kept = ["arm", "cycle", "cost", "mean", "front", "value", "at"]
    return records(found[kept].assign(measure=measure.label, unit=unit))


def _spread(values: Sequence[float]) -> list[float]:
    """Choose a few of the values for ticks, with the first and the last."""
    every = max(1, -(-(len(values) - 1) // (MANY - 1)))
    return [*values[:-1:every], values[-1]]


def _chart(study: Study) -> Drawing:
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("value:N", title="mean"), alt.Tooltip("at:N", title="weights left"),
               alt.Tooltip("cost:Q", format=",.4~r"), alt.Tooltip("unit:N", title="in"),
               alt.Tooltip("front:N", title="best for its cost")]  # fmt: skip
    low, high = (alt.ExprRef(expr=f"ends[unit][{end}]") for end in (0, 1))
    gains = f"indexof({list(GAINS)}, unit) >= 0"
    sign = f"({gains} ? ' x' : unit == '{LATENCY}' ? ' ms' : '')"
    labels = f"unit == '{WEIGHTS}' ? {PER_CENT} : format(datum.value, ',.3~r') + {sign}"
    axis = alt.Axis(values=alt.ExprRef(expr="ticks[unit]"), labelExpr=labels, labelOverlap="greedy", title=None,
                    gridOpacity=0.6, labelBound=16)  # fmt: skip
    dense_first = alt.ExprRef(expr=f"unit == '{WEIGHTS}'")
    scale = alt.Scale(type="log", nice=False, domain=[low, high], reverse=dense_first)
    base = alt.Chart(DATA).transform_filter("datum.measure == measure && datum.unit == unit")
    base = base.encode(x=alt.X("cost:Q", scale=scale, axis=axis), y=measure_axis("mean"))
    line = base.transform_filter("datum.front").mark_line(color=GREY, strokeWidth=1.6, strokeDash=[5, 3])
    points = base.transform_filter(NOT_HIDDEN).mark_point(size=70, opacity=1, strokeWidth=1.8)
    points = points.encode(color=color_of("arm", study.arms), shape=shape_of("arm", study.arms), tooltip=tooltip)
    beaten = points.transform_filter("!datum.front").encode(fill=alt.value("white"))
    best = points.transform_filter("datum.front").encode(fill=color_of("arm", study.arms))
    spent = f"indexof({list(UNITS)}, unit) >= 0 ? ' spent' : unit == '{LATENCY}' ? ' of a forward pass' : ''"
    title = heading(f"[measure, 'over the ' + (unit == '{WEIGHTS}' ? 'weights left' : unit + ({spent}))]")
    return alt.layer(line, beaten, best).properties(width="container", height=320, title=title)
