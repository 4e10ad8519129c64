"""Define the common parts of all pictures: a name, words, a specification in Vega-Lite, and the reader's choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import pandas as pd

from lightning_prune.lab.report.canvas import COLOURS

Spec = dict[str, Any]
Rows = list[dict[str, Any]]
Drawing = alt.Chart | alt.LayerChart | alt.FacetChart

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ((1, 0), (5, 3), (2, 2))
WIDTH = 720  # The width in files. On the page a picture is as wide as its place.
DATA = alt.NamedData(name="rows")
NOT_HIDDEN = "indexof(hidden, datum.arm) < 0"


@dataclass(frozen=True)
class Choice:
    """A menu above a picture. Menus of the same signal agree on the whole page."""

    signal: str
    label: str
    values: Sequence[str]
    chosen: str


@dataclass(frozen=True)
class Picture:
    """A picture, or the sentence that says why there is none."""

    name: str
    """The name of its files and of its place on the page."""
    title: str
    caption: str = ""
    spec: Spec | None = None
    missing: str = ""
    """The reason why there is no picture, or a sentence on things that the picture leaves out."""
    choices: Sequence[Choice] = field(default=())
    unit: str = ""
    """The unit of the vertical axis in files, if its ticks do not say the unit."""


def colour_of(arms: Sequence[str]) -> alt.Color:
    """Give every arm its color, the same on all pictures."""
    domain = list(arms)
    scale = alt.Scale(domain=domain, range=[COLOURS[index % len(COLOURS)] for index in range(len(domain))])
    return alt.Color("arm:N", scale=scale, legend=_legend())


def shape_of(arms: Sequence[str]) -> alt.Shape:
    """Give every arm its mark, so that arms can be told apart without color."""
    domain = list(arms)
    scale = alt.Scale(domain=domain, range=[SHAPES[index % len(SHAPES)] for index in range(len(domain))])
    return alt.Shape("arm:N", scale=scale, legend=_legend())


def dash_of(arms: Sequence[str]) -> alt.StrokeDash:
    """Dash the lines of arms beyond the number of colors."""
    domain = list(arms)
    dashes = [list(DASHES[index // len(COLOURS) % len(DASHES)]) for index in range(len(domain))]
    return alt.StrokeDash("arm:N", scale=alt.Scale(domain=domain, range=dashes), legend=None)


def specification(chart: Drawing, rows: Rows, params: Mapping[str, Any]) -> Spec:
    """Write a chart as Vega-Lite, with its data and the signals that the page sets.

    Args:
        chart: The chart of :data:`DATA`.
        rows: The data. They are given beside the chart, so that altair does not check every value.
        params: Signal -> its value at first.
    """
    spec: Spec = chart.to_dict()
    spec["datasets"] = {"rows": rows}
    if spec.get("width") == "container":
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["params"] = [*spec.get("params", []), *({"name": name, "value": value} for name, value in params.items())]
    return spec


def without_arms(spec: Any) -> Any:
    """Take the legends of the arms out of a specification. The page has one legend for all pictures."""
    if isinstance(spec, list):
        return [without_arms(part) for part in spec]
    if not isinstance(spec, dict):
        return spec
    kept = {name: without_arms(part) for name, part in spec.items() if name != "datasets"}
    if kept.get("field") == "arm" and "legend" in kept:
        kept["legend"] = None
    return kept | {name: part for name, part in spec.items() if name == "datasets"}


def records(frame: pd.DataFrame) -> Rows:
    """Turn a frame into rows for a picture. Missing values become null."""
    return [{str(name): None if pd.isna(value) else value for name, value in row.items()}
            for row in frame.to_dict("records")]  # fmt: skip


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", columns=4, labelLimit=200, symbolOpacity=1, symbolStrokeWidth=0)
