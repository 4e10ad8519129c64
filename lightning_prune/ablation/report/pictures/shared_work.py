"""Draw the tree of all trained nodes, as boxes from dense to the last cycle. A box that arms share is gray."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from lightning_prune.ablation.report.pictures.picture import Choice, Picture, specification
from lightning_prune.ablation.report.reported_study import Facts, Study
from lightning_prune.ablation.report.words import listed, plural
from lightning_prune.lab.report.canvas import COLORS, ink_on
from lightning_prune.lab.report.vega import DATA, Drawing, Rows

NAME, TITLE = "shared_work", "What was trained, and what was shared"
CAPTION = (
    "Each box was trained once, from its first to its last cycle. The number counts its epochs. Gray boxes are shared "
    "by the arms to their right. Pale thin boxes were tried by a search and not chosen. Dashed boxes are not done."
)
SHARED = "shared"
GREY = "#9a9a9a"
ROW = 30  # Pixels.
LINE = 16  # The characters of a line of an arm's name.
LETTER, LINE_HEIGHT = 6.6, 12  # Pixels of a name.
TRIED = 0.4  # The height, in rows, of a node that a search tried and did not choose.


@dataclass(frozen=True)
class Box:
    """A node as a box, from its first cycle to its last, over the rows of the arms that use the node."""

    key: str
    top: float
    bottom: float
    ends: tuple[str, ...] = ()
    """The arms whose run ends here, a row each, at the bottom of the box."""


def draw_shared_work(study: Study) -> Picture:
    """Draw the tree of one seed, which the reader can choose."""
    chosen = {key for path in study.paths for key in path["nodes"]}
    colors = dict(zip([*study.arms, SHARED], _colors(study), strict=True))
    rows: Rows = []
    tallest = 1.0
    for seed in study.seeds:
        boxes = boxes_of(study, seed)
        tallest = max([tallest, *(box.bottom for box in boxes)])
        for box in boxes:
            rows += _rows(box, study.nodes[box.key], str(seed), box.key in chosen, colors)
    if not rows:
        return Picture(NAME, TITLE, missing="Nothing was trained yet.")
    cycles = max(row["right"] for row in rows)
    seeds = [str(seed) for seed in study.seeds]
    first = {"seed": seeds[0], "hidden": []}
    lines = [row["text"] for row in rows if row["kind"] == "name"]
    room = max((LETTER * max(map(len, parts)) + 14 for parts in lines), default=0)
    row = max(ROW, LINE_HEIGHT * max(map(len, lines), default=1) + 6)
    spec = specification(_chart(study, int(cycles), tallest * row, tallest, room), rows, first)
    return Picture(NAME, TITLE, CAPTION, spec, choices=[Choice("seed", "Seed", seeds, seeds[0])])


def boxes_of(study: Study, seed: int) -> list[Box]:
    """Place the nodes of one seed so that none covers another.

    Args:
        study: The study.
        seed: One of its seeds.

    Returns:
        One box per node, over the rows of its children. The arms are in the order of the study, as far as sharing
        allows this order.
    """
    nodes = {key: node for key, node in study.nodes.items() if int(node["seed"]) == seed}
    ends = _ends(study, seed, nodes)
    order = {arm: index for index, arm in enumerate(study.arms)}
    children: dict[str | None, list[str]] = {}
    for key in sorted(nodes, key=lambda key: _rank(nodes[key], order)):
        parent = nodes[key]["parent"]
        children.setdefault(parent if parent in nodes else None, []).append(key)
    boxes: list[Box] = []
    top = 0.0
    for root in children.get(None, []):
        top = _place(root, top, children, ends, boxes)
    return boxes


def _rows(box: Box, node: Facts, seed: str, chosen: bool, colors: Mapping[str, str]) -> Rows:
    arms = [str(arm) for arm in node["arms"]]
    first, last = int(node["first"]), int(node["last"])
    spoken = "dense run" if last == 0 else f"cycle {first}" if first == last else f"cycles {first} to {last}"
    text = f"{node['epochs']} ep" if chosen else ""
    common: dict[str, Any] = {"seed": seed, "top": box.top, "bottom": box.bottom, "left": first, "right": last + 1}
    owner = arms[0] if len(arms) == 1 else SHARED
    drawn = {
        "kind": "box",
        "owner": owner,
        "ink": _ink(colors.get(owner, GREY)) if node["status"] == "done" else "#000000",
        "chosen": chosen,
        "status": str(node["status"]),
        "text": f"{text} · {len(arms)} arms" if len(arms) > 1 and text else text,
        "short": text.removesuffix(" ep"),
        "what": spoken,
        "cost": "at most " * bool(node.get("at_most")) + plural(int(node["epochs"]), "epoch"),
        "arms": listed(arms),
        "tried": ", ".join(f"{name} = {value}" for name, value in (node["tried"] or {}).items()) or "nothing",
    }
    middles = [box.bottom - len(box.ends) + index + 0.5 for index in range(len(box.ends))]
    names: Rows = [
        {**common, "kind": "name", "owner": arm, "text": textwrap.wrap(arm, LINE) or arm, "middle": middle}
        for arm, middle in zip(box.ends, middles, strict=True)
    ]
    return [{**common, **drawn}, *names]


def _colors(study: Study) -> list[str]:
    return [*(COLORS[index % len(COLORS)] for index in range(len(study.arms))), GREY]


def _ink(color: str) -> str:
    """Choose black or white, whichever is easier to read on a color.

    On a color that dark mode changes, the ink is a color that dark mode changes as well.
    """
    if color == "#000000":
        return "white"
    return ink_on(*(int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)))


def _chart(study: Study, cycles: int, height: float, tallest: float, room: float) -> Drawing:
    """Draw the tree.

    Args:
        study: The study.
        cycles: The number of columns.
        height: The height of all rows in pixels.
        tallest: The number of rows.
        room: The pixels to the right of the boxes, for the names of the arms.
    """
    labels = "datum.value == 0.5 ? 'dense' : floor(datum.value)"
    ticks = alt.Axis(values=[cycle + 0.5 for cycle in range(cycles)], labelExpr=labels, title="cycle", grid=False,
                     ticks=False, domain=False, orient="top", titleAnchor="start", labelOverlap="greedy")  # fmt: skip
    right = alt.ExprRef(expr=f"{cycles} * width / max(width - {room:.0f}, 0.4 * width)")
    x = alt.X("left:Q", scale=alt.Scale(nice=False, domain=[0, right]), axis=ticks)
    y = alt.Y("top:Q", scale=alt.Scale(domain=[tallest, 0], nice=False), axis=None)
    seed = alt.Chart(DATA).transform_filter("datum.seed == seed")
    boxes = seed.transform_filter("datum.kind == 'box'").encode(x=x, x2="right:Q", y=y, y2="bottom:Q")
    layers = alt.layer(*_bars(study, boxes), *_words(seed, cycles, room))
    return layers.properties(width="container", height=max(int(height), 60))


def _bars(study: Study, boxes: alt.Chart) -> list[alt.Chart]:
    """Draw the boxes, and dashed outlines around the boxes that are not done."""
    owner = alt.Scale(domain=[*study.arms, SHARED], range=_colors(study))
    tooltip = [alt.Tooltip("what:N"), alt.Tooltip("cost:N"), alt.Tooltip("arms:N"), alt.Tooltip("tried:N"),
               alt.Tooltip("status:N")]  # fmt: skip
    here = "(datum.chosen ? 1 : 0.3) * (datum.status == 'done' ? 1 : 0.08)"
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


def _words(seed: alt.Chart, cycles: int, room: float) -> list[alt.Chart]:
    """The epochs in the boxes, shorter where they do not fit, and the names of the arms."""
    fits = f"(width - {room:.0f}) * (datum.right - datum.left) / {cycles} > 5.9 * length(datum.text)"
    state = "datum.status == 'done' ? (" + fits + " ? datum.text : datum.short) : datum.status"
    shown = "datum.kind == 'box' && datum.chosen && indexof(hidden, datum.owner) < 0"
    texts = seed.transform_filter(shown).transform_calculate(
        middle="(datum.top + datum.bottom) / 2", centre="(datum.left + datum.right) / 2"
    )
    texts = texts.mark_text(fontSize=11, text=alt.ExprRef(expr=state)).encode(
        x="centre:Q", y="middle:Q",
        color=alt.Color("ink:N", scale=None, legend=None),
    )  # fmt: skip
    up = alt.ExprRef(expr=f"isArray(datum.text) ? {-LINE_HEIGHT / 2} * (length(datum.text) - 1) : 0")
    names = seed.transform_filter("datum.kind == 'name'").mark_text(
        align="left", baseline="middle", dx=8, dy=up, fontSize=12, lineHeight=LINE_HEIGHT
    )
    names = names.encode(x="right:Q", y="middle:Q", text="text:N")
    return [texts, names]


def _place(
    key: str, top: float, children: Mapping[str | None, list[str]], ends: Mapping[str, list[str]], boxes: list[Box]
) -> float:
    """Place a node and everything below it. Return the start of the next row."""
    arms = tuple(ends.get(key, ()))
    bottom = top
    for child in children.get(key, []):
        bottom = _place(child, bottom, children, ends, boxes)
    bottom += len(arms) if arms or bottom > top else TRIED
    boxes.append(Box(key, top, bottom, arms))
    return bottom


def _ends(study: Study, seed: int, nodes: Mapping[str, Facts]) -> dict[str, list[str]]:
    """Node -> the arms whose run ends with it."""
    ends: dict[str, list[str]] = {}
    for path in study.paths:
        known = [key for key in path["nodes"] if key in nodes]
        if int(path["seed"]) == seed and known:
            ends.setdefault(known[-1], []).append(str(path["arm"]))
    return ends


def _rank(node: Facts, order: Mapping[str, int]) -> tuple[int, bool, int]:
    known = [order[arm] for arm in node["arms"] if arm in order]
    return (min(known, default=len(order)), bool(node["tried"]), int(node["first"]))
