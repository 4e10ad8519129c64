"""Draw the density of each tensor of an arm in each cycle as a map."""

import math
from itertools import takewhile

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.pictures.picture import Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.charts import MANY, NARROW_ROW, ROW, density_map
from lightning_prune.lab.report.cycle_table import layer_table
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, records

NAME, TITLE = "density_per_layer", "Density per layer"
WEIGHTS_LEFT = "Weights left in each pruned tensor, in percent."
FIRST_SEED = "The run is the one of the chosen arm with its first seed."
WEIGHT = ".weight"
LINE, LINE_HEIGHT = 20, 13  # The characters of a line of a tensor's name, and its height in points.


def draw_layers(study: Study, runs: dict[str, Run]) -> Picture:
    """Draw the density of every tensor over the cycles. The reader of the page chooses the arm.

    Args:
        study: The study.
        runs: Arm -> its run.
    """
    tables = {arm: layer_table(run) for arm, run in runs.items()}
    tables = {arm: table for arm, table in tables.items() if not table.empty}
    if not tables:
        return Picture(NAME, TITLE, missing="No densities were recorded: no cycle after the dense run has begun.")
    arms = [arm for arm in study.arms if arm in tables]
    short = _short_names(list(dict.fromkeys(str(name) for table in tables.values() for name in table.index)))
    rows: Rows = [row for arm in arms for row in _rows(tables[arm], arm, short)]
    cells = max(table.size for table in tables.values())
    spec = specification(_chart(rows, list(short.values()), with_numbers=cells <= MANY), rows, {"arm": arms[0]})
    caption = WEIGHTS_LEFT if study.of_runs else f"{WEIGHTS_LEFT} {FIRST_SEED}"
    choices = [Choice("arm", study.member.title(), arms, arms[0])] if len(arms) > 1 else []
    return Picture(NAME, TITLE, caption, spec, choices=choices)


def _rows(table: pd.DataFrame, arm: str, short: dict[str, str]) -> Rows:
    """The cells of one arm. Cycles that the arm has not reached are left out."""
    tall = table.rename_axis("tensor").reset_index().melt("tensor", var_name="cycle", value_name="density").dropna()
    tall["layer"] = tall["tensor"].map(short)
    return records(tall.assign(arm=arm, cycle=tall["cycle"].astype(int), density=tall["density"].round(6)))


def _short_names(names: list[str]) -> dict[str, str]:
    """Leave out the beginning that all names share. On a narrow screen it would hide the rest."""
    if len(names) < 2:
        return {name: name for name in names}
    parts = [name.split(".") for name in names]
    shared = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))]
    start = ".".join([*shared, ""])
    end = WEIGHT if all(name.endswith(WEIGHT) for name in names) else ""
    short = {name: name.removeprefix(start).removesuffix(end) for name in names}
    return short if all(short.values()) else {name: name for name in names}


def _chart(rows: Rows, names: list[str], with_numbers: bool) -> Drawing:
    lines = math.ceil(max(map(len, names)) / LINE)
    lowest = min([row["density"] for row in rows if row["density"] > 0], default=0.5)
    layers = alt.Axis(labelExpr=_broken(lines), labelLimit=0, domain=False)
    base = (
        alt.Chart(DATA)
        .transform_filter("datum.arm == arm")
        .encode(
            x=alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", domain=False)),
            y=alt.Y("layer:N", title=None, sort=names, axis=layers),
        )
    )
    tooltip = [alt.Tooltip("tensor:N"), alt.Tooltip("cycle:O"), alt.Tooltip("density:Q", format=".3~p")]
    cells = density_map(base, lowest, digits=2 if with_numbers else 0, tooltip=tooltip)
    height = max(ROW if with_numbers else NARROW_ROW, LINE_HEIGHT * lines)
    return alt.layer(*cells).properties(width="container", height=height * len(names))


def _broken(lines: int) -> str:
    """Break a name into lines, as an expression of Vega. A narrow screen has no room for a long line."""
    shown = "datum.label"
    for count in range(2, lines + 1):
        parts = ", ".join(f"slice(datum.label, {LINE * part}, {LINE * (part + 1)})" for part in range(count))
        shown = f"length(datum.label) > {LINE * (count - 1)} ? [{parts}] : {shown}"
    return shown
