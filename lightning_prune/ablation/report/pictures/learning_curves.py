"""Draw the learning curves of an arm: what each epoch logged, with a line for each cycle."""

import math
from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import heading, limits, measure_axis
from lightning_prune.ablation.report.pictures.picture import Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.metric_names import choose_columns
from lightning_prune.lab.report.logged_run import CYCLE, Run
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

NAME, TITLE = "learning_curves", "Learning curves"
CAPTION = "The value at the end of each epoch, with a line for each cycle; darker is sparser. Cycle 0 is the dense run."
BELOW = "The first epochs of the dense run may lie beyond the picture."
CYCLES, WHOLE = "the cycle", "the whole run"
POINTS = 12_000  # Of a page. With more, the epochs of long cycles are thinned.
FEWEST = 12  # Epochs of a cycle that stay in any case.
ACROSS = 7  # Entries of the legend in a row. A narrow screen has no room for more.
SETTLED = 3  # The part of the dense run whose epochs may lie beyond the picture: the first third.


def draw_learning_curves(study: Study, runs: Mapping[str, Run]) -> Picture:
    """Draw the losses and the metric of one arm over the epochs. The reader of the page chooses the arm.

    Args:
        study: The study.
        runs: Arm -> its run.
    """
    tables = {arm: table for arm in study.arms if arm in runs and not (table := _epochs(runs[arm], study)).empty}
    if not tables:
        return Picture(NAME, TITLE, missing="No metric was logged at the end of an epoch.")
    curves = list(dict.fromkeys(str(name) for table in tables.values() for name in table["curve"]))
    most = max(POINTS // sum(len(table.groupby(["curve", "cycle"])) for table in tables.values()), FEWEST)
    rows: Rows = [row for arm, table in tables.items() for row in records(_thinned(table, most).assign(arm=arm))]
    arms = list(tables)
    ends = {arm: {curve: _ends(tables[arm], curve) for curve in curves} for arm in arms}
    first = {"arm": arms[0], "curve": curves[0], "along": CYCLES, "limits": ends}
    cycles = sorted({int(row["cycle"]) for row in rows})
    choices = [Choice("arm", study.member.title(), arms, arms[0])] if len(arms) > 1 else []
    choices += [Choice("curve", "Curve", curves, curves[0]), Choice("along", "Over", [CYCLES, WHOLE], CYCLES)]
    seed = "" if study.of_runs else " The run is the one of the chosen arm with its first seed."
    caption = f"{CAPTION} {BELOW}{seed}"
    return Picture(NAME, TITLE, caption, specification(_chart(cycles), rows, first), choices=choices)


def _epochs(run: Run, study: Study) -> pd.DataFrame:
    """One row per epoch and logged column, with the cycle and the number of the epoch in the cycle."""
    epochs = run.epochs
    known = choose_columns([str(name) for name in epochs])
    logged = [study.metric, known.metric, known.val_loss, known.train_metric, known.train_loss]
    names = [name for name in dict.fromkeys(logged) if name in epochs]
    at = epochs.groupby(CYCLE).cumcount() + 1
    table = pd.DataFrame({"cycle": epochs[CYCLE], "at": at, "epoch": epochs.index + 1, **{n: epochs[n] for n in names}})
    tall = table.melt(["cycle", "at", "epoch"], var_name="curve", value_name="value").dropna()
    tall["value"] = [float(f"{value:.4g}") for value in tall["value"].astype(float)]
    return tall


def _thinned(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Leave out epochs of long cycles evenly. The first and the last epoch of a cycle stay."""
    last = table.groupby(["curve", "cycle"])["at"].transform("max")
    every = (last / most).map(math.ceil).clip(lower=1)
    return table[(table["at"] % every == 0) | (table["at"] == 1) | (table["at"] == last)]


def _ends(table: pd.DataFrame, curve: str) -> list[float]:
    """The ends of the axis. The start of the dense run would leave no room for the cycles."""
    shown = table[table["curve"] == curve]
    dense = shown["cycle"] == 0
    settled = ~dense | (shown["at"] > shown.loc[dense, "at"].max() / SETTLED)
    return limits(shown.loc[settled, "value"], Measure("", curve).range)


def _chart(cycles: Sequence[int]) -> Drawing:
    scheme = alt.SchemeParams(name="viridis", extent=[0.92, 0.25])
    legend = alt.Legend(
        title="cycle", orient="bottom", direction="horizontal", columns=ACROSS, symbolType="stroke", symbolStrokeWidth=3
    )
    color = alt.Color("cycle:O", scale=alt.Scale(scheme=scheme, domain=list(cycles)), legend=legend)
    percent_or_number = (
        "indexof(lower(curve), 'acc') >= 0 ? format(100 * datum.value, '.4~g') + ' %' : format(datum.value, '.3~g')"
    )
    axis = alt.Axis(title=None, tickMinStep=1, gridOpacity=0.3, labelOverlap="parity", labelSeparation=8)
    base = (
        alt.Chart(DATA)
        .transform_filter("datum.arm == arm && datum.curve == curve")
        .transform_calculate(place=f"along == '{CYCLES}' ? datum.at : datum.epoch")
        .encode(
            x=alt.X("place:Q", axis=axis, scale=alt.Scale(zero=False, nice=False)),
            y=measure_axis("value", percent_or_number, "limits[arm][curve]"),
            color=color,
        )
    )
    tooltip = [alt.Tooltip("cycle:O"), alt.Tooltip("epoch:Q", title="epoch of the run"), alt.Tooltip("value:Q")]
    lines = base.mark_line(strokeWidth=1.8, clip=True)
    points = base.mark_point(filled=True, size=16, opacity=1, clip=True).encode(tooltip=tooltip)
    title = heading("[curve, 'over the epochs of ' + along]")
    return alt.layer(lines, points).properties(width="container", height=320, title=title)
