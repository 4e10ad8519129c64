"""The tree of what was trained, drawn: boxes from dense to the last cycle, grey where several arms share one."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from lightning_prune.ablation.report.pictures.picture import Choice, Picture, specification
from lightning_prune.ablation.report.pictures.tree import Box, lay_out
from lightning_prune.ablation.report.reported_study import Facts, Study
from lightning_prune.ablation.report.words import listed, plural
from lightning_prune.lab.report.canvas import COLOURS, ink_on
from lightning_prune.lab.report.vega import DATA, Drawing, Rows

NAME, TITLE = "shared_work", "What was trained, and what was shared"
CAPTION = (
    "Each box was trained once, from its first to its last cycle; the number counts its epochs. Grey boxes are shared "
    "by the arms to their right. Pale thin boxes are what a search tried and left. Dashed boxes are not done."
)
SHARED = "shared"
GREY = "#9a9a9a"
ROW = 30  # pixels
NAMES = 0.3  # of the width, for the names of the arms


def draw_shared_work(study: Study) -> Picture:
    """Draw the tree of one seed, which the page lets choose."""
    chosen = {key for path in study.paths for key in path["nodes"]}
    colours = dict(zip([*study.arms, SHARED], _colours(study), strict=True))
    rows: Rows = []
    tallest = 1.0
    for seed in study.seeds:
        boxes = lay_out(study, seed)
        tallest = max([tallest, *(box.bottom for box in boxes)])
        for box in boxes:
            rows += _rows(box, study.nodes[box.key], str(seed), box.key in chosen, colours)
    if not rows:
        return Picture(NAME, TITLE, missing="Nothing was trained yet.")
    cycles = max(row["right"] for row in rows)
    seeds = [str(seed) for seed in study.seeds]
    spec = specification(_chart(study, int(cycles), tallest), rows, {"seed": seeds[0], "hidden": []})
    return Picture(NAME, TITLE, CAPTION, spec, choices=[Choice("seed", "Seed", seeds, seeds[0])])


def _rows(box: Box, node: Facts, seed: str, chosen: bool, colours: Mapping[str, str]) -> Rows:
    arms = [str(arm) for arm in node["arms"]]
    first, last = int(node["first"]), int(node["last"])
    spoken = "dense run" if last == 0 else f"cycle {first}" if first == last else f"cycles {first} to {last}"
    text = f"{node['epochs']} ep" if chosen else ""
    common: dict[str, Any] = {"seed": seed, "top": box.top, "bottom": box.bottom, "left": first, "right": last + 1}
    owner = arms[0] if len(arms) == 1 else SHARED
    drawn = {
        "kind": "box",
        "owner": owner,
        "ink": _ink(colours.get(owner, GREY)) if node["status"] == "done" else GREY,
        "chosen": chosen,
        "status": str(node["status"]),
        "text": f"{text} · {len(arms)} arms" if len(arms) > 1 and text else text,
        "short": text.removesuffix(" ep"),
        "what": spoken,
        "cost": plural(int(node["epochs"]), "epoch"),
        "arms": listed(arms),
        "tried": ", ".join(f"{name} = {value}" for name, value in (node["tried"] or {}).items()) or "nothing",
    }
    middles = [box.bottom - len(box.ends) + index + 0.5 for index in range(len(box.ends))]
    names: Rows = [
        {**common, "kind": "name", "owner": arm, "text": arm, "middle": middle}
        for arm, middle in zip(box.ends, middles, strict=True)
    ]
    return [{**common, **drawn}, *names]


def _colours(study: Study) -> list[str]:
    return [*(COLOURS[index % len(COLOURS)] for index in range(len(study.arms))), GREY]


def _ink(colour: str) -> str:
    """Black or white, whichever is read more easily on a colour; what the page turns grey gets what it turns black."""
    if colour == "#000000":
        return "white"
    return ink_on(*(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)))


def _chart(study: Study, cycles: int, tallest: float) -> Drawing:
    width = cycles * (1 + NAMES)
    labels = "datum.value == 0.5 ? 'dense' : floor(datum.value)"
    ticks = alt.Axis(values=[cycle + 0.5 for cycle in range(cycles)], labelExpr=labels, title="cycle", grid=False,
                     ticks=False, domain=False, orient="top", titleAnchor="start", labelOverlap="greedy")  # fmt: skip
    x = alt.X("left:Q", scale=alt.Scale(domain=[0, width], nice=False), axis=ticks)
    y = alt.Y("top:Q", scale=alt.Scale(domain=[tallest, 0], nice=False), axis=None)
    seed = alt.Chart(DATA).transform_filter("datum.seed == seed")
    boxes = seed.transform_filter("datum.kind == 'box'").encode(x=x, x2="right:Q", y=y, y2="bottom:Q")
    layers = alt.layer(*_bars(study, boxes), *_words(seed, width))
    return layers.properties(width="container", height=max(int(ROW * tallest), 60))


def _bars(study: Study, boxes: alt.Chart) -> list[alt.Chart]:
    """The boxes; dashed outlines around those that are not done."""
    owner = alt.Scale(domain=[*study.arms, SHARED], range=_colours(study))
    tooltip = [alt.Tooltip("what:N"), alt.Tooltip("cost:N"), alt.Tooltip("arms:N"), alt.Tooltip("tried:N"),
               alt.Tooltip("status:N")]  # fmt: skip
    here = "(datum.chosen ? 1 : 0.3) * (datum.status == 'done' ? 1 : 0.35)"
    here += " * (indexof(hidden, datum.owner) < 0 ? 1 : 0.15)"
    bars = boxes.transform_calculate(strength=here).mark_bar(cornerRadius=3, strokeWidth=1.5, stroke="white")
    bars = bars.encode(
        tooltip=tooltip,
        fill=alt.Fill("owner:N", scale=owner, legend=None),
        fillOpacity=alt.FillOpacity("strength:Q", scale=None, legend=None),
    )  # fmt: skip
    undone = boxes.transform_filter("datum.status != 'done'").mark_bar(filled=False, strokeDash=[4, 3], strokeWidth=1.5)
    undone = undone.encode(stroke=alt.Stroke("owner:N", scale=owner, legend=None))
    return [bars, undone]


def _words(seed: alt.Chart, width: float) -> list[alt.Chart]:
    """The epochs in the boxes, shorter where they do not fit, and the names of the arms."""
    fits = f"width * (datum.right - datum.left) / {width} > 5.9 * length(datum.text)"
    state = "datum.status == 'done' ? (" + fits + " ? datum.text : datum.short) : datum.status"
    texts = seed.transform_filter("datum.kind == 'box' && datum.chosen").transform_calculate(
        middle="(datum.top + datum.bottom) / 2", centre="(datum.left + datum.right) / 2"
    )
    texts = texts.mark_text(fontSize=11, text=alt.ExprRef(expr=state)).encode(
        x="centre:Q", y="middle:Q",
        color=alt.Color("ink:N", scale=None, legend=None),
    )  # fmt: skip
    names = seed.transform_filter("datum.kind == 'name'").mark_text(
        align="left", dx=8, fontSize=12, limit=alt.ExprRef(expr=f"width * {NAMES / (1 + NAMES)} - 8")
    )
    names = names.encode(x="right:Q", y="middle:Q", text="text:N")
    return [texts, names]
