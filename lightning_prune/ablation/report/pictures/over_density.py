"""Draw the metric over the density, as the mean over seeds of each arm with its interval."""

import altair as alt

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import (
    CUT,
    density_axis,
    heading,
    interval_layers,
    measure_axis,
    places,
    shown_interval,
)
from lightning_prune.ablation.report.pictures.picture import (
    DATA,
    NOT_HIDDEN,
    Choice,
    Drawing,
    Picture,
    Rows,
    colour_of,
    dash_of,
    records,
    shape_of,
    specification,
)
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import between, plural
from lightning_prune.ablation.results.comparison import summary
from lightning_prune.lab.report.terminal import percent, score

TITLE = "Metric over density"
CAPTION = (
    "Mean over seeds with 95 % intervals (Student's t). Intervals of accuracies end at 100 %. "
    f"{CUT} Arms stand side by side around their density. Intervals are not corrected for multiple comparisons."
)


def draw_over_density(study: Study, chosen: str) -> Picture:
    """Draw every measure over the density, with a color for each arm.

    Args:
        study: The study.
        chosen: The label of the measure to show first.
    """
    labels = [measure.label for measure in study.measures]
    if not labels:
        return Picture("metric_over_density", TITLE, missing="No arm has a result yet.")
    rows: Rows = [row for measure in study.measures for row in _rows(study, measure)]
    spec = specification(_chart(study), rows, {"measure": chosen, "hidden": []})
    missing = "" if len(study.seeds) > 1 else "There is one seed, so there are no intervals."
    choices = [Choice("measure", "Measure", labels, chosen)]
    return Picture("metric_over_density", TITLE, CAPTION, spec, missing, choices)


def _rows(study: Study, measure: Measure) -> Rows:
    label = measure.label
    found = summary(study.table, measure.column)
    found = shown_interval(found, of="mean", within=measure.range).assign(measure=label)
    found["place"] = [
        places(study.table, density, arm, study.arms)
        for density, arm in zip(found["density"], found["arm"], strict=True)
    ]
    found["value"] = [score(label, mean) for mean in found["mean"]]
    found["interval"] = [between(label, low, high) for low, high in zip(found["low"], found["high"], strict=True)]
    found["at"] = [percent(density) for density in found["density"]]
    found["seeds"] = [plural(int(count), "seed") for count in found["seeds"]]
    return records(found)


def _chart(study: Study) -> Drawing:
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("at:N", title="density"), alt.Tooltip("value:N", title="mean"),
               alt.Tooltip("interval:N", title="95 % interval"), alt.Tooltip("seeds:N", title="over")]  # fmt: skip
    base = (
        alt.Chart(DATA)
        .transform_filter(f"datum.measure == measure && {NOT_HIDDEN}")
        .encode(x=density_axis(study.table), color=colour_of(study.arms))
    )
    lines = base.mark_line(strokeWidth=2).encode(y=measure_axis("mean"), strokeDash=dash_of(study.arms))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=measure_axis("mean"), shape=shape_of(study.arms), tooltip=tooltip
    )
    layers = alt.layer(*interval_layers(base), lines, points)
    return layers.properties(width="container", height=340, title=heading("measure"))
