"""The pictures as files: PNG and SVG beside the page, drawn without a browser."""

from pathlib import Path

import vl_convert

from lightning_prune.ablation.report.pictures.picture import WIDTH, Picture
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.report.vega import VEGA_LITE, Spec, png_of, printed, svg_of


def write_pictures(folder: Path, pictures: list[Picture]) -> list[Path]:
    """Write every picture that there is as ``<name>.png`` and ``<name>.svg``.

    Args:
        folder: Where they go.
        pictures: Those without a specification are left out.

    Returns:
        What was written.
    """
    written = []
    for picture in pictures:
        if picture.spec is not None:
            png, svg = folder / f"{picture.name}.png", folder / f"{picture.name}.svg"
            drawn = svg_of(alone(picture))
            written += [write_whole(png, png_of(drawn)), write_whole(svg, drawn)]
    return written


def alone(picture: Picture) -> Spec:
    """Turn the specification of the page into one that stands alone: a width, a white ground, a title."""
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
    return printed({**spec, **width, "title": title})


def scripts() -> str:
    """The vega libraries as one script, which the page carries with it."""
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its stub wants a snippet
    return bundle.replace("</script", "<\\/script")
