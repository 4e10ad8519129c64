"""Define the common parts of all pictures: a name, words, a specification in Vega-Lite, and the reader's choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_prune.lab.report.vega import Drawing, Rows, Spec, with_rows

WIDTH = 720  # The width in files. On the page a picture is as wide as its place.
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


def specification(chart: Drawing, rows: Rows, params: Mapping[str, Any]) -> Spec:
    """Write a chart as Vega-Lite, with its data and the signals that the page sets.

    Args:
        chart: The chart of :data:`~lightning_prune.lab.report.vega.DATA`.
        rows: The data.
        params: Signal -> its value at first.
    """
    spec = with_rows(chart, rows)
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
