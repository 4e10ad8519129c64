"""Draw a picture for each claim, as SVG: means with intervals, one panel for each network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import pandas as pd

from benchmarks.claims.claim import budgets_of, densities_of, values_of
from benchmarks.claims.contrasts import measure, missing, over
from benchmarks.claims.oracle import peaks_of
from benchmarks.claims.results import Result
from lightning_prune.ablation.results.comparison import summary
from lightning_prune.lab.report.canvas import color_of, shape_of
from lightning_prune.lab.report.vega import printed, svg_of

WIDTH, HEIGHT = 340, 260
SYMLOG_TICKS = [-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50]
DEEPEST = -10  # points; rates that diverge would leave no room for the others
APART = 0.012  # of the horizontal place, between two arms, so that their intervals do not cover each other
ROOM = 1.5  # times
Axis = Callable[[list[float] | None], alt.X]
NAMES = {
    "digits": "LeNet-300-100, digits",
    "digits_low": "LeNet-300-100, digits, low peaks",
    "resnet8": "ResNet-8, CIFAR-10",
    "plateau": "ResNet-8 trained to its end, CIFAR-10 at 16 pixels",
    "resnet8small": "ResNet-8, digits",
    "text": "decoder of two blocks, docstrings",
    "wide": "WRN-10-2, CIFAR-10",
    "resnet20": "ResNet-20, CIFAR-10",
    "resnet56": "ResNet-56, CIFAR-10",
    "wide16": "WRN-16-8, CIFAR-10",
}
CYCLIC = ("LR rewinding", "scaled restart", "cyclic restart", "cyclic restart, momentum kept")
LINEAR = ("LR rewinding", "scaled restart", "cyclic restart", "linear restart", "adaptive linear restart")
PRUNED = ("magnitude, cyclic restart", "random, cyclic restart")
REPEATED = ("iterative", "one mask, repeated", "one mask, stretched", "SCULPT")
REGROWN = ("RigL", "SET", "AC/DC", "one-shot")
REPAIRED = ("BatchNorm", "rescaled", "least squares", "blocks", "adapters", "Wanda", "SparseGPT")  # as many as colors
BUDGETS = ["none", "short", "longer"]


@dataclass(frozen=True)
class Plot:
    """How a claim is drawn.

    Args:
        rows_of: From a study to rows of arm, x, y and, where there are intervals, low and high.
        x: The horizontal axis.
        y: What the vertical axis counts.
        scale: Of the vertical axis; ``"symlog"`` where small and large differences stand side by side.
    """

    rows_of: Callable[[Result], pd.DataFrame]
    x: Axis
    y: str
    scale: str = "linear"


def accuracy(result: Result) -> pd.DataFrame:
    """The mean of every arm that prunes over what is left; the dense network only where a line goes on from it."""
    found = summary(result.table)
    ends = found.groupby("arm").agg({"cycle": "max", "density": "min"}).loc[found["arm"]]
    shown = (found["cycle"].to_numpy() > 0) | (ends["cycle"].to_numpy() > 1)
    found = found[shown & (ends["density"].to_numpy() < 1)]
    arms = found["arm"].str.replace(r" sparsity\.final=\S+", "", regex=True)
    found = found.assign(x=100 * found["density"], y=100 * found["mean"], arm=arms)
    return found.assign(low=100 * found["low"], high=100 * found["high"])[["arm", "x", "y", "low", "high"]]


def gains(arms: Sequence[str], other: str, places: Callable[[pd.DataFrame], dict[str, str]], among: str) -> Callable:
    """Make a function from a study to the gains of arms over another one, place by place.

    Args:
        arms: The arms.
        other: The one they are compared with.
        places: From a table to what stands in the names of arms, and how it is said, with a number in front.
        among: What arms are called, ``"{arm} retrain={place}"``.
    """

    def rows_of(result: Result) -> pd.DataFrame:
        rows = []
        for place, named in places(result.table).items():
            for arm in arms:
                asked = over(arm, other, named, among.format(arm="{}", place=place))
                if not missing(asked, result.table):
                    found = measure(asked, result.table)
                    values = {"y": found.difference, "low": found.low, "high": found.high}
                    points = {key: 100 * value for key, value in values.items()}
                    rows.append({"arm": arm, "x": float(named.split()[0]), **points})
        return pd.DataFrame(rows, columns=["arm", "x", "y", "low", "high"])

    return rows_of


def peaks(result: Result) -> pd.DataFrame:
    """The validation accuracy of every peak that the Oracle tried in each cycle, and SILO's peak as a mark."""
    rows = []
    for one in peaks_of(result.table):
        arm, best = f"{100 * one.density:.3g} % left", max(one.scores)
        rows += [
            {"arm": arm, "x": x, "y": max(100 * (y - best), DEEPEST)}
            for x, y in zip(one.tried, one.scores, strict=True)
        ]
        rows.append({"arm": arm, "mark": one.silo})
    return pd.DataFrame(rows, columns=["arm", "x", "y", "mark"])


def repairs(result: Result) -> pd.DataFrame:
    """The gain of every repair over none, budget by budget, and at the lowest density of the study."""
    sparsities, rows = values_of(result.table, "sparsity.final"), []
    at = f" sparsity.final={max(sparsities, key=float)}" if sparsities else ""
    for place, budget in enumerate(values_of(result.table, "retrain"), start=1):
        for arm in REPAIRED:
            asked = over(arm, "nothing", budget, f"{{}}{at} retrain={budget}")
            if not missing(asked, result.table):
                found = measure(asked, result.table)
                values = {"y": found.difference, "low": found.low, "high": found.high}
                rows.append({"arm": arm, "x": place, **{key: 100 * value for key, value in values.items()}})
    return pd.DataFrame(rows, columns=["arm", "x", "y", "low", "high"])


def budgets(ends: list[float] | None) -> alt.X:
    """An axis of places: no retraining, some, and more."""
    labels = f"{BUDGETS}[datum.value - 1]"
    ticks = {"values": [1, 2, 3], "labelExpr": labels, "gridOpacity": 0.6}
    return alt.X("x:Q", scale=alt.Scale(domain=[0.7, 3.3], nice=False), axis=alt.Axis(title="retraining", **ticks))


def axis(title: str, values: Sequence[float] | None = None, reverse: bool = False) -> Axis:
    """A logarithmic axis, as a function of its ends; None for those that fit."""
    ticks = {} if values is None else {"values": list(values)}

    def between(ends: list[float] | None) -> alt.X:
        domain = {} if ends is None else {"domain": ends}
        scale = alt.Scale(type="log", reverse=reverse, nice=False, padding=12, **domain)
        return alt.X("x:Q", scale=scale, axis=alt.Axis(title=title, gridOpacity=0.6, **ticks))

    return between


LEFT = axis("weights left, per cent", (100, 80, 50, 30, 20, 10, 5, 3, 2), reverse=True)
BUDGET = axis("retraining, per cent of the dense run", (2.5, 5, 10, 25))
ACCURACY = Plot(accuracy, LEFT, "test accuracy, per cent")
BUDGETED = "{arm} retrain={place}"
PRUNED_TO = "{arm} sparsity.final={place}"
PLOTS = {
    2: Plot(gains(CYCLIC, "fine-tuning", budgets_of, BUDGETED), BUDGET, "points over fine-tuning"),
    3: Plot(
        gains(PRUNED, "magnitude, fine-tuning", densities_of, PRUNED_TO),
        LEFT,
        "points over magnitude, fine-tuning",
        scale="symlog",
    ),
    4: Plot(
        peaks,
        axis("peak learning rate (dashed: SILO's)"),
        f"validation accuracy, points under the best peak (cut at {DEEPEST})",
    ),
    7: Plot(gains(LINEAR, "fine-tuning", budgets_of, BUDGETED), BUDGET, "points over fine-tuning"),
    10: Plot(gains(REPEATED, "one mask, one pass", densities_of, PRUNED_TO), LEFT, "points over one mask, one pass"),
    13: Plot(gains(REGROWN, "iterative", densities_of, PRUNED_TO), LEFT, "points over iterative pruning"),
    15: Plot(repairs, budgets, "points over no repair", scale="symlog"),
}


def picture_of(number: int, results: Sequence[Result]) -> alt.HConcatChart | alt.VConcatChart:
    """Draw a claim: a panel for each of its studies, side by side.

    Args:
        number: The claim.
        results: Its studies.
    """
    if number == 4:  # two pictures of one study: how accurate, and where SILO's peak lies among those that were tried
        searched = [one for one in results if peaks_of(one.table)]
        rows = [_row(results, ACCURACY), *([_row(searched, PLOTS[4])] if searched else [])]
        return alt.vconcat(*rows).resolve_scale(color="independent", shape="independent")
    return _row(results, PLOTS.get(number, ACCURACY))


def _row(results: Sequence[Result], plot: Plot) -> alt.HConcatChart:
    parts = [plot.rows_of(one) for one in results]
    arms = list(dict.fromkeys(arm for rows in parts for arm in rows["arm"]))
    titles = [NAMES.get(one.network, one.network) for one in results]
    return alt.hconcat(*(_panel(rows, title, plot, arms) for rows, title in zip(parts, titles, strict=True)))


def write(chart: alt.HConcatChart | alt.VConcatChart, path: Path) -> None:
    """Write a picture as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg_of(printed(chart.to_dict())), encoding="utf-8")


def _panel(rows: pd.DataFrame, title: str, plot: Plot, arms: Sequence[str]) -> alt.LayerChart:
    beside = rows["arm"].map({arm: index - (len(arms) - 1) / 2 for index, arm in enumerate(arms)})
    marks = rows[rows["mark"].notna()].assign(x=rows["mark"]) if "mark" in rows else None
    if marks is None:
        rows = rows.assign(x=rows["x"] * (1 + APART * beside))
    rows = rows[rows["y"].notna()]
    base = alt.Chart(rows).encode(x=plot.x(_roomy(rows["x"])), color=color_of("arm", arms).legend(_legend()))
    scale = alt.Scale(zero=False, nice=True, type=plot.scale)
    ticks = {"values": SYMLOG_TICKS} if plot.scale == "symlog" else {}
    vertical = alt.Y("y:Q", scale=scale, axis=alt.Axis(title=plot.y, gridOpacity=0.6, **ticks))
    shape = shape_of("arm", arms).legend(None)
    layers = [
        base.mark_line(strokeWidth=2).encode(y=vertical),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=vertical, shape=shape),
    ]
    if "low" in rows:
        bars = base.mark_rule(strokeWidth=1.5, opacity=0.6)
        layers.insert(0, bars.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"))
    if marks is not None:
        layers.append(base.properties(data=marks).mark_rule(strokeDash=[3, 3], strokeWidth=1.5))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)


def _roomy(places: pd.Series) -> list[float] | None:
    """Where all is in one place, an axis wide enough to see that it is one; else what fits."""
    several = places.empty or places.max() > places.min() * ROOM
    return None if several else [places.min() / ROOM, places.max() * ROOM]


def _legend() -> alt.Legend:
    marks = {"symbolStrokeWidth": 0, "symbolOpacity": 1, "symbolType": "circle"}
    return alt.Legend(title=None, orient="bottom", columns=2, labelLimit=260, **marks)
