"""Turn charts into Vega-Lite with their data, and draw them as SVG and PNG without a browser."""

import math
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from lightning_prune.lab.visible import is_shown

Spec = dict[str, Any]
Rows = list[dict[str, Any]]
Drawing = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
CONFIG = {"view": {"stroke": None}, "axis": {"titleFontWeight": "normal", "gridColor": "#dddddd"}}
DOTS_PER_INCH = 150  # The resolution of a PNG. A point is 1/72 inch.
DATA = alt.NamedData(name="rows")


def with_rows(chart: Drawing, rows: Rows) -> Spec:
    """Write a chart as Vega-Lite, with its data.

    Args:
        chart: The chart of :data:`DATA`.
        rows: The data. They are given beside the chart, so that altair does not check every value.
    """
    return {**chart.to_dict(), "datasets": {"rows": rows}}


def records(frame: pd.DataFrame) -> Rows:
    """Turn a frame into rows for a picture. Missing and infinite values become null.

    Example:
        >>> records(pd.DataFrame({"step": [1, 2, 3], "loss": [0.5, float("nan"), float("inf")]}))
        [{'step': 1, 'loss': 0.5}, {'step': 2, 'loss': None}, {'step': 3, 'loss': None}]
    """
    return [{str(name): value if _is_drawn(value) else None for name, value in row.items()}
            for row in frame.to_dict("records")]  # fmt: skip


def printed(spec: Spec) -> Spec:
    """Give a picture that stands alone a white background and a margin."""
    return {**spec, "background": "white", "padding": 12, "config": CONFIG}


def svg_of(spec: Spec) -> str:
    """Draw a specification as SVG."""
    return vl_convert.vegalite_to_svg(_drawable(spec), vl_version=VEGA_LITE)


def png_of(svg: str) -> bytes:
    """Turn an SVG into a PNG of :data:`DOTS_PER_INCH`."""
    return vl_convert.svg_to_png(svg, ppi=DOTS_PER_INCH)


def _is_drawn(value: Any) -> bool:
    return not pd.isna(value) and not (isinstance(value, float) and math.isinf(value))


def _drawable(spec: Any) -> Any:
    """Replace in every text the characters that no SVG can hold. Names of metrics and tensors may hold any."""
    if isinstance(spec, str):
        return "".join(letter if letter in "\n\t" or is_shown(letter) else "\ufffd" for letter in spec)
    if isinstance(spec, dict):
        return {name: _drawable(part) for name, part in spec.items()}
    return [_drawable(part) for part in spec] if isinstance(spec, list | tuple) else spec
