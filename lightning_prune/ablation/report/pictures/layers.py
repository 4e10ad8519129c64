"""Draw the density of each tensor of an arm in each cycle as a map."""

from itertools import takewhile

import altair as alt
import pandas as pd

from lightning_prune.ablation.report.pictures.picture import (
    DATA,
    Choice,
    Drawing,
    Picture,
    Rows,
    records,
    specification,
)
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.canvas import BLACK, BRIGHT_FROM, WHITE
from lightning_prune.lab.report.cycle_table import layer_table
from lightning_prune.lab.report.logged_run import Run

NAME, TITLE = "density_per_layer", "Density per layer"
CAPTION = "Weights left in each pruned tensor, in percent. The run is the one of the chosen arm with its first seed."
MANY = 400  # Cells of one arm. With more cells there is no room for numbers.
WEIGHT = ".weight"
# A cell has the same color in light and in dark mode, and so has its number.
BRIGHT = f"luminance(scale('color', datum.density)) > {BRIGHT_FROM}"


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
    return Picture(NAME, TITLE, CAPTION, spec, choices=[Choice("arm", "Arm", arms, arms[0])])


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
    lowest = min([row["density"] for row in rows if row["density"] > 0], default=0.5)
    scale = alt.Scale(type="log", domain=[min(lowest, 0.5), 1.0], scheme="cividis", clamp=True)
    legend = alt.Legend(title=None, format=".2~p", orient="bottom", gradientLength=200, tickCount=4)
    base = (
        alt.Chart(DATA)
        .transform_filter("datum.arm == arm")
        .encode(
            x=alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", domain=False)),
            y=alt.Y("layer:N", title=None, sort=names, axis=alt.Axis(labelLimit=130, domain=False)),
        )
    )
    tooltip = [alt.Tooltip("tensor:N"), alt.Tooltip("cycle:O"), alt.Tooltip("density:Q", format=".3~p")]
    cells = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color("density:Q", scale=scale, legend=legend), tooltip=tooltip
    )
    dark_on_light = alt.condition(BRIGHT, alt.value(BLACK), alt.value(WHITE))
    numbers = base.transform_calculate(shown="format(100 * datum.density, '.2~r')").mark_text(fontSize=11)
    shown = [cells, numbers.encode(text="shown:N", color=dark_on_light)] if with_numbers else [cells]
    return alt.layer(*shown).properties(width="container", height=(26 if with_numbers else 14) * len(names))
