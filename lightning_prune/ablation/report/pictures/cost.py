"""Draw the cost of each arm against its result, trained alone and trained beside arms that share work with it."""

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import (
    CUT,
    heading,
    heights,
    interval_layers,
    limits,
    measure_axis,
    shown_interval,
)
from lightning_prune.ablation.report.pictures.picture import NOT_HIDDEN, Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.comparison import summary
from lightning_prune.lab.report.canvas import color_of, shape_of
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

APART = 5  # Pixels between arms, because equal budgets would lie on top of each other.
NAME, TITLE = "cost", "Cost against metric"
CAPTION = (
    "Cost per seed, from the first step to the end of the chosen cycle. A filled mark is the cost of the arm trained "
    "alone. A hollow mark is its cost in this study, without what another arm had trained already. Arms of equal cost "
    f"stand side by side. Bars are 95 % intervals. {CUT}"
)
UNITS = {"epochs": "epochs_shared", "seconds": "seconds_shared"}


def draw_cost(study: Study, chosen: str) -> Picture:
    """Draw the cost against each measure, at a density that the reader can choose.

    Args:
        study: The study.
        chosen: The label of the measure to show first.
    """
    units = [unit for unit in UNITS if unit in study.table and study.table[unit].notna().any()]
    costs = {unit: costs_of(study.table, unit) for unit in units}
    rows: Rows = [
        row for measure in study.measures for unit, cost in costs.items() for row in _rows(study, measure, unit, cost)
    ]
    if not rows:
        return Picture(NAME, TITLE, missing="No arm has a result with its cost yet.")
    stages = list(dict.fromkeys(row["stage"] for row in sorted(rows, key=lambda row: row["cycle"], reverse=True)))
    ends = {measure.label: limits(heights(rows, measure.label), measure.range) for measure in study.measures}
    first = {"stage": stages[0], "unit": units[0], "measure": chosen, "hidden": [], "limits": ends}
    spec = specification(_chart(study), rows, first)
    labels = [measure.label for measure in study.measures]
    choices = [Choice("stage", "At", stages, stages[0]), Choice("unit", "Cost in", units, units[0]),
               Choice("measure", "Measure", labels, chosen)]  # fmt: skip
    return Picture(NAME, TITLE, CAPTION, spec, choices=choices)


def costs_of(table: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The cost of each arm up to the end of each cycle, as a mean over seeds, with and without shared work."""
    rows = table.dropna(subset=["cycle"]).sort_values("cycle")
    shared = rows[UNITS[unit]].fillna(0.0) if UNITS[unit] in rows else 0.0
    spent = rows[["arm", "seed", "cycle"]].assign(alone=rows[unit], here=rows[unit] - shared)
    columns = ["alone", "here"]
    spent[columns] = spent.groupby(["arm", "seed"])[columns].cumsum()
    return spent.groupby(["arm", "cycle"])[columns].mean().dropna().reset_index()


def _rows(study: Study, measure: Measure, unit: str, cost: pd.DataFrame) -> Rows:
    label = measure.label
    found = shown_interval(summary(study.table, measure.column), of="mean", within=measure.range)
    found = found.merge(cost, on=["arm", "cycle"])
    found = found.assign(measure=label, unit=unit, value=[score(label, mean) for mean in found["mean"]])
    densities = study.table.groupby("cycle")["density"].mean()
    found["stage"] = [f"density {percent(densities[cycle])} (cycle {cycle})" for cycle in found["cycle"]]
    found["place"] = found["arm"].map(study.arms.index)
    kept = ["arm", "place", "cycle", "stage", "measure", "unit", "alone", "here", "mean", "value"]
    kept += ["low_shown", "high_shown", "cut_low", "cut_high"]
    return records(found[kept])


def _chart(study: Study) -> Drawing:
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("value:N", title="mean"),
               alt.Tooltip("alone:Q", format=",.4~r"), alt.Tooltip("here:Q", title="trained here", format=",.4~r"),
               alt.Tooltip("unit:N", title="in")]  # fmt: skip
    shown = f"datum.measure == measure && datum.unit == unit && datum.stage == stage && {NOT_HIDDEN}"
    base = alt.Chart(DATA).transform_filter(shown).encode(color=color_of("arm", study.arms))
    axis = alt.Axis(gridOpacity=0.6, labelOverlap="parity", labelSeparation=8)
    x = alt.X("alone:Q", title="cost per seed", scale=alt.Scale(zero=True), axis=axis)
    aside = alt.ExprRef(expr=f"{APART} * (datum.place - {(len(study.arms) - 1) / 2})")
    ways = base.mark_rule(strokeWidth=1.5, opacity=0.5, xOffset=aside, x2Offset=aside)
    ways = ways.encode(x=x, x2="here:Q", y=measure_axis("mean"))
    bars = interval_layers(base.encode(x=x), xOffset=aside)
    alone = base.mark_point(filled=True, size=80, opacity=1, xOffset=aside).encode(
        x=x, y=measure_axis("mean"), shape=shape_of("arm", study.arms), tooltip=tooltip
    )
    here = base.mark_point(size=80, strokeWidth=1.8, opacity=1, xOffset=aside).encode(
        x="here:Q", y=measure_axis("mean"), shape=shape_of("arm", study.arms), fill=alt.value("white"), tooltip=tooltip
    )
    return alt.layer(*bars, ways, here, alone).properties(
        width="container", height=300, title=heading("measure + ', over the ' + unit + ' spent'")
    )
