"""Draw the paired differences over seeds between each arm and a chosen arm, with intervals."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import (
    CUT,
    POINTS_OR_NUMBER,
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
from lightning_prune.ablation.report.pictures.some_arms import some_arms, some_of
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import difference, plural
from lightning_prune.ablation.results.intervals import (
    UNDECIDED,
    coded_nodes,
    intervals,
    of_all_arms,
    verdicts,
    where_apart,
)
from lightning_prune.ablation.results.resolution import least_spread
from lightning_prune.ablation.results.table_checks import lower_wins
from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.canvas import color_of, dash_of, shape_of
from lightning_prune.lab.report.terminal import percent
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

PAIRS = 300  # Of arms. With more, only some arms can be chosen.
FEWEST = 2  # Arms that can be chosen in any case.
NAME, TITLE = "differences", "Difference to one arm"
CAPTION = (
    "Mean of the differences within each seed, with 95 % intervals. The difference of a filled mark is significant: "
    f"its interval does not contain 0. A hollow mark is undecided (not significant). {CUT} Arms are matched by cycle."
)
HEADING = "[measure, 'difference' + (indexof(lower(measure), 'acc') >= 0 ? ' in points' : '') + ' to', reference]"
ENDS = "limits[measure][reference]"


def draw_differences(study: Study, chosen: str, against: str | None) -> Picture:
    """Draw the paired differences of all arms to a reference, which the reader can choose.

    Of many arms only some can be chosen, because the differences of all pairs would make the page too large.

    Args:
        study: The study.
        chosen: The label of the measure to show first.
        against: The reference to show first. None: the first arm with a result.
    """
    arms = study.measured_arms
    if len(arms) < 2:
        return Picture(NAME, TITLE, missing="There is nothing to compare: fewer than two arms have a result.")
    reference = against or arms[0]
    references = some_arms(study, arms, max(PAIRS // len(arms), FEWEST), reference)
    rows: Rows = [row for measure in study.measures for row in records(_pairs(study, measure, references))]
    ends = _all_ends(rows)
    first = {"measure": chosen, "reference": reference, "hidden": [], "limits": ends}
    spec = specification(_chart(study), rows, first)
    missing = "" if len(study.seeds) > 1 else "There is one seed, so nothing is significant."
    labels = [measure.label for measure in study.measures]
    if len(references) < len(arms):
        missing = f"{missing} {some_of(references, arms)} `--against` takes any other.".strip()
    choices = [Choice("reference", "Against", references, reference), Choice("measure", "Measure", labels, chosen)]
    unit = "in points" if is_fraction(chosen) else ""
    return Picture(NAME, TITLE, CAPTION, spec, missing, choices, unit)


def _all_ends(rows: Rows) -> dict[str, dict[str, list[float]]]:
    """The ends of the axis of each measure and each reference. They hold the line at 0."""
    shown: dict[str, dict[str, Rows]] = {}
    for row in rows:
        shown.setdefault(row["measure"], {}).setdefault(row["reference"], []).append(row)
    return {
        label: {arm: limits([0.0, *heights(own, label, "difference")]) for arm, own in parts.items()}
        for label, parts in shown.items()
    }


def _pairs(study: Study, measure: Measure, references: Sequence[str]) -> pd.DataFrame:
    """The differences of one measure between all arms and some of them, with the texts of each mark."""
    values, nodes = of_all_arms(study.table, measure.column), coded_nodes(study.table)
    bound = least_spread(study.table, measure.column, terms=2)
    parts = {}
    for reference in references:
        differences = _minus(values, reference)
        least = where_apart(_minus(nodes, reference), bound).reindex(differences.index)
        parts[reference] = intervals(differences, least=least)
    found = pd.concat(parts, names=["reference"]).rename(columns={"mean": "difference"}).reset_index()
    lower = lower_wins(measure.column, study.mode)
    found["better"] = verdicts(found, found["arm"], found["reference"], lower)
    found = found[found["seeds"] > 0]
    low, high = measure.range
    shown = [
        shown_interval(part, of="difference", within=(low - high, high - low))
        for _, part in found.groupby("reference", sort=False)
    ]
    return _written(study, measure, pd.concat(shown)) if shown else found


def _minus(values: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The values of all other arms minus those of one arm, cycle by cycle and seed by seed."""
    others = values.drop(index=reference, level="arm")
    if reference not in values.index.get_level_values("arm"):
        return others * float("nan")
    own = values.loc[reference].reindex(others.index.get_level_values("cycle"))
    return others - own.to_numpy()


def _written(study: Study, measure: Measure, found: pd.DataFrame) -> pd.DataFrame:
    """Add the places of the marks and the texts of the tooltips."""
    densities = study.table.groupby(["arm", "cycle"])["density"].mean().rename("density").reset_index()
    found = found.merge(densities, on=["arm", "cycle"]).dropna(subset=["density"])
    label = measure.label
    found["place"] = places(study.table, found, study.arms)
    found["value"] = [difference(label, value) for value in found["difference"]]
    found["interval"] = [
        "none" if pd.isna(low) else f"{difference(label, low)} to {difference(label, high)}"
        for low, high in zip(found["low"], found["high"], strict=True)
    ]
    found["at"] = [percent(density) for density in found["density"]]
    found["over"] = [plural(int(count), "seed") for count in found["seeds"]]
    found["mark"] = ["hollow" if better == UNDECIDED else "filled" for better in found["better"]]
    kept = ["arm", "reference", "value", "interval", "at", "over", "better", "mark", "place", "difference"]
    return found[[*kept, "low_shown", "high_shown", "cut_low", "cut_high"]].assign(measure=label)


def _chart(study: Study) -> Drawing:
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("reference:N", title="against"), alt.Tooltip("at:N", title="density"),
               alt.Tooltip("value:N", title="difference"), alt.Tooltip("interval:N", title="95 % interval"),
               alt.Tooltip("over:N"), alt.Tooltip("better:N")]  # fmt: skip
    shown = f"datum.measure == measure && datum.reference == reference && {NOT_HIDDEN}"
    color = color_of("arm", study.arms)
    base = alt.Chart(DATA).transform_filter(shown).encode(x=density_axis(study.table), color=color)
    y = measure_axis("difference", POINTS_OR_NUMBER, ENDS)
    lines = base.mark_line(strokeWidth=1.2, opacity=0.6).encode(y=y, strokeDash=dash_of("arm", study.arms))
    marks = base.mark_point(size=70, opacity=1, strokeWidth=1.8).encode(
        y=y, shape=shape_of("arm", study.arms), tooltip=tooltip
    )
    hollow = marks.transform_filter("datum.mark == 'hollow'").encode(fill=alt.value("white"))
    filled = marks.transform_filter("datum.mark == 'filled'").encode(fill=color)
    zero = alt.Chart(DATA).mark_rule(color="#888888", strokeWidth=1.5).encode(y=alt.datum(0))
    layers = alt.layer(zero, *interval_layers(base, POINTS_OR_NUMBER, ENDS), lines, hollow, filled)
    return layers.properties(width="container", height=320, title=heading(HEADING))
