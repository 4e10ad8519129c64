"""Draw the metric over the density, as the mean over seeds of each arm with its interval."""

import altair as alt

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import (
    CUT,
    density_axis,
    heading,
    heights,
    interval_layers,
    limits,
    measure_axis,
    places,
    shown_interval,
)
from lightning_prune.ablation.report.pictures.picture import NOT_HIDDEN, Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import between, plural
from lightning_prune.ablation.results.comparison import summary
from lightning_prune.lab.report.canvas import color_of
from lightning_prune.lab.report.charts import curves
from lightning_prune.lab.report.terminal import percent, score
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

TITLE = "Metric over density"
CAPTION = (
    "Mean over seeds with 95 % intervals (Student's t). Intervals of accuracies end at 100 %. "
    f"{CUT} Arms stand side by side around their density. Intervals are not corrected for multiple comparisons."
)

CAPTION_OF_RUNS = "The value at the end of each cycle. A run has one seed, so there are no intervals."


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
    ends = {measure.label: limits(heights(rows, measure.label), measure.range) for measure in study.measures}
    spec = specification(_chart(study), rows, {"measure": chosen, "hidden": [], "limits": ends})
    missing = "" if len(study.seeds) > 1 or study.of_runs else "There is one seed, so there are no intervals."
    choices = [Choice("measure", "Measure", labels, chosen)]
    caption = CAPTION_OF_RUNS if study.of_runs else CAPTION
    return Picture("metric_over_density", TITLE, caption, spec, missing, choices)


def _rows(study: Study, measure: Measure) -> Rows:
    label = measure.label
    found = summary(study.table, measure.column)
    found = shown_interval(found, of="mean", within=measure.range).assign(measure=label)
    found["place"] = places(study.table, found, study.arms)
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
        .encode(x=density_axis(study.table), color=color_of("arm", study.arms))
    )
    lines, points = curves(base, measure_axis("mean"), "arm", study.arms)
    layers = alt.layer(*interval_layers(base), lines, points.encode(tooltip=tooltip))
    return layers.properties(width="container", height=340, title=heading("measure"))
