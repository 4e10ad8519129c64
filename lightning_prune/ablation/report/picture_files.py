"""Write the pictures as PNG and SVG files beside the page, drawn without a browser."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import vl_convert
from rich.console import Console

from lightning_prune.ablation.report.pictures.picture import WIDTH, Picture
from lightning_prune.lab.report import vega
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.visible import visible


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
            png, svg = folder / f"{picture.name}.png", folder / f"{picture.name}.svg"
            drawn = vega.svg_of(alone(picture))
            written += [write_report_file(png, vega.png_of(drawn)), write_report_file(svg, drawn)]
    return written


def print_files(console: Console, page: Path, pictures: Sequence[Path], tables: Sequence[Path] = ()) -> None:
    """Print which files a report has written: the page with its whole path, and the names of the files beside it.

    Args:
        console: The console.
        page: The page.
        pictures: The pictures. Each has a PNG file and an SVG file.
        tables: The tables.
    """
    said = [f"The page: {page}"]
    if pictures:
        names = ", ".join(dict.fromkeys(path.stem for path in pictures))
        said.append(f"Its pictures, as PNG and SVG files beside it: {names}")
    if tables:
        said.append(f"Its tables: {', '.join(path.name for path in tables)}")
    for index, line in enumerate(said):  # A path that is broken over two lines cannot be copied.
        console.print(visible(line), soft_wrap=index == 0, highlight=False, markup=False)


def alone(picture: Picture) -> vega.Spec:
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
    return vega.printed({**spec, **width, "title": title})


@cache
def scripts() -> str:
    """The Vega libraries as one script, which is a part of the page."""
    bundle = vl_convert.javascript_bundle(vl_version=vega.VEGA_LITE)  # type: ignore[call-arg]  # its stub wants a snippet
    return bundle.replace("</script", "<\\/script")
