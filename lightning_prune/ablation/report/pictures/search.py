"""Draw the validation metric of a search over the tried values, and mark the chosen value."""

import json
import math
from itertools import zip_longest
from typing import Any

import altair as alt

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.pictures.axes import heading, limits, measure_axis
from lightning_prune.ablation.report.pictures.picture import Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.terminal import score
from lightning_prune.lab.report.vega import DATA, Drawing, Rows

NAME, TITLE = "search", "What the search tried"
FEW = 12  # Values that each have their own tick.
CAPTION = "All values that were tried from the same network. The arm went on with the value of the filled mark."


def draw_search(study: Study) -> Picture | None:
    """Draw the tried values of each search arm, one seed at a time. ``None`` if no arm searches."""
    arms = [str(arm["name"]) for arm in study.facts["arms"] if arm.get("search") and not arm.get("soup")]
    if not arms:
        return None
    metric = study.metric
    rows: Rows = [row for arm in arms for row in _rows(study, arm, metric)]
    if not rows:
        return Picture(NAME, TITLE, missing="No search has tried anything yet.")
    found = list(dict.fromkeys(row["arm"] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    ends = {metric: limits([row["score"] for row in rows], Measure("", metric).range)}
    spec = specification(
        _chart(rows), rows, {"searching": found[0], "seed": seeds[0], "measure": metric, "limits": ends}
    )
    choices = [Choice("searching", "Arm", found, found[0]), Choice("seed", "Seed", seeds, seeds[0])]
    return Picture(NAME, TITLE, CAPTION, spec, choices=choices)


def _rows(study: Study, arm: str, metric: str) -> Rows:
    table = study.table
    told = table[(table["arm"] == arm) & table["tried"].notna()] if "tried" in table else table.head(0)
    return [
        {
            "arm": arm,
            "seed": str(seed),
            "cycle": int(cycle),
            "argument": str(tried["argument"]),
            "value": _value(value),
            "score": float(result),
            "shown": score(metric, float(result)),
            "chosen": value == tried["chosen"],
            "epochs": epochs,
        }
        for seed, cycle, text in zip(told["seed"], told["cycle"], told["tried"], strict=True)
        for tried in [_parsed(text)]
        for value, result, epochs in zip_longest(*(tried.get(key, ()) for key in ("values", "scores", "epochs")))
        if isinstance(result, int | float) and math.isfinite(result)
    ]


def _value(value: Any) -> Any:
    """A number stays as it is. A combination of several arguments is written in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return value if isinstance(value, int | float | str) else str(value)


def _parsed(text: Any) -> dict[str, Any]:
    """Read the tried values from a cell of the table. Empty if the cell is empty or was not written by a study."""
    try:
        tried = json.loads(str(text))
    except json.JSONDecodeError:
        return {}
    return tried if isinstance(tried, dict) and {"argument", "values", "scores", "chosen"} <= set(tried) else {}


def _axis(rows: Rows) -> alt.X:
    """Make the axis of the values. Numbers that differ much get a logarithmic axis. Other values stand side by side."""
    values = [row["value"] for row in rows]
    title = ", ".join(dict.fromkeys(row["argument"] for row in rows))
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return alt.X("value:N", title=title, sort=None, axis=alt.Axis(labelAngle=0))
    different = sorted(set(values))
    low, high = different[0], different[-1]
    if low > 0 and high >= 5 * low:
        scale = alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False)
    else:
        scale = alt.Scale(zero=False, padding=12)
    ticks = alt.Axis(
        values=different if len(different) <= FEW else alt.Undefined,
        format="~g",
        labelOverlap="greedy",
        gridOpacity=0.6,
    )
    return alt.X("value:Q", title=title, scale=scale, axis=ticks)


def _chart(rows: Rows) -> Drawing:
    tooltip = [alt.Tooltip("cycle:O"), alt.Tooltip("value:N"), alt.Tooltip("shown:N", title="score"),
               alt.Tooltip("chosen:N")]  # fmt: skip
    if any(row["epochs"] is not None for row in rows):
        tooltip.append(alt.Tooltip("epochs:Q"))
    cycles = sorted({row["cycle"] for row in rows})
    legend = alt.Legend(title="cycle", orient="bottom", direction="horizontal", columns=8)
    color = alt.Color("cycle:O", scale=alt.Scale(scheme="viridis", domain=cycles), legend=legend)
    base = (
        alt.Chart(DATA)
        .transform_filter("datum.arm == searching && datum.seed == seed")
        .encode(x=_axis(rows), y=measure_axis("score"), color=color)
    )
    marks = base.mark_point(size=80, strokeWidth=1.8, opacity=1).encode(tooltip=tooltip)
    left = marks.transform_filter("!datum.chosen").encode(fill=alt.value("white"))
    taken = base.transform_filter("datum.chosen").mark_point(filled=True, size=150, opacity=1).encode(tooltip=tooltip)
    return alt.layer(base.mark_line(strokeWidth=1.4), left, taken).properties(
        width="container", height=280, title=heading("measure + ' over the tried values'")
    )
