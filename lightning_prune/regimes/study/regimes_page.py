"""Write the page of a study of regimes: advice at the top, the maps, and the table of the best temperatures."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from lightning_prune.lab.report import vega
from lightning_prune.lab.report.report_file import require_folder, write_report_file
from lightning_prune.regimes.study.maps import Map

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:right;"
    "white-space:nowrap}.wide{overflow-x:auto}figure{margin:0}"
    "th:first-child,td:first-child{text-align:left}.maps{display:flex;flex-wrap:wrap;gap:1rem}svg{max-width:100%}"
)


def write_regimes_page(
    folder: Path, name: str, sentences: Sequence[str], maps: Sequence[Map], tables: Sequence[tuple[str, pd.DataFrame]]
) -> Path:
    """Write ``index.html``, and each map as PNG and SVG.

    Args:
        folder: The folder of the files.
        name: The name of the study.
        sentences: The advice.
        maps: The maps.
        tables: Tables with their headings.

    Returns:
        The page. It needs no network.
    """
    require_folder(folder)
    drawn = []
    for one in maps:
        svg = vega.svg_of(vega.printed(one.spec))
        write_report_file(folder / f"{one.name}.svg", svg)
        write_report_file(folder / f"{one.name}.png", vega.png_of(svg))
        drawn.append(f"<figure>{svg}</figure>")
    advice = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    listed = "".join(f"<h2>{escape(heading)}</h2>{_html(table)}" for heading, table in tables)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style>'
        f'<h1>{escape(name)}</h1>{advice}<div class="maps">{"".join(drawn)}</div>{listed}</html>'
    )
    return write_report_file(folder / "index.html", page)


def _html(table: pd.DataFrame) -> str:
    shown = table.assign(density=[f"{density:g}" for density in table["density"]])
    html = shown.to_html(index=False, border=0, escape=True, float_format=lambda value: f"{value:.4f}", na_rep="")
    return f'<div class="wide">{html}</div>'
