"""Write the pictures as PNG and SVG files beside the page, drawn without a browser."""

from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from lightning_prune.ablation.report.pictures.picture import WIDTH, Picture, Spec
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.visible import is_shown

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
CONFIG = {"view": {"stroke": None}, "axis": {"titleFontWeight": "normal", "gridColor": "#dddddd"}}
SCALE = 2  # Pixels of a PNG per point.


def write_pictures(folder: Path, pictures: list[Picture]) -> list[Path]:
    """Write every picture as ``<name>.png`` and ``<name>.svg``.

    Args:
        folder: The folder for the files.
        pictures: The pictures. A picture without a specification is left out.

    Returns:
        The written files.
    """
    written = []
    for picture in pictures:
        if picture.spec is not None:
            spec = _drawable(alone(picture))
            png, svg = folder / f"{picture.name}.png", folder / f"{picture.name}.svg"
            drawn = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
            written += [
                write_report_file(png, vl_convert.svg_to_png(drawn, scale=SCALE)),
                write_report_file(svg, drawn),
            ]
    return written


def alone(picture: Picture) -> Spec:
    """Turn a specification of the page into one that stands alone, with a width, a white background and a title."""
    spec = dict(picture.spec or {})
    chosen = [f"{choice.label.lower()} {choice.chosen}" for choice in picture.choices]
    title = {
        "text": picture.title,
        "subtitle": ", ".join([*chosen, *filter(None, [picture.unit])]),
        "anchor": "start",
        "fontSize": 15,
        "offset": 14,
    }
    width = {"width": WIDTH} if spec.get("width") == "container" else {}
    return {**spec, **width, "title": title, "background": "white", "padding": 12, "config": CONFIG}


def _drawable(spec: Any) -> Any:
    """Replace in every text the characters that no SVG can hold. Names of metrics and tensors may hold any."""
    if isinstance(spec, str):
        return "".join(letter if letter in "\n\t" or is_shown(letter) else "\ufffd" for letter in spec)
    if isinstance(spec, dict):
        return {name: _drawable(part) for name, part in spec.items()}
    return [_drawable(part) for part in spec] if isinstance(spec, list | tuple) else spec


def scripts() -> str:
    """The Vega libraries as one script, which is a part of the page."""
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its stub wants a snippet
    return bundle.replace("</script", "<\\/script")
