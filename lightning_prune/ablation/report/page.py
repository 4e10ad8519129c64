"""Write the page of a study, one HTML file that holds everything it shows and works without a network."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lightning_prune.ablation.report import headline
from lightning_prune.ablation.report.headline import Head
from lightning_prune.ablation.report.html_table import sheet_of, versions_of
from lightning_prune.ablation.report.picture_files import scripts
from lightning_prune.ablation.report.pictures.packed_rows import packed
from lightning_prune.ablation.report.pictures.picture import Picture, without_arms
from lightning_prune.ablation.report.read_study import CSV, TABLE, inside
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.soup_table import soups
from lightning_prune.lab.report.canvas import COLORS
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.report.terminal import percent, score

TEMPLATES = Path(__file__).parent / "page"


def write_page(
    path: Path,
    study: Study,
    pictures: Sequence[Picture],
    head: Head | None = None,
    tables: Sequence[Path] = (),
    chosen: str | None = None,
) -> Path:
    """Write the page. Every text is escaped, and the page loads nothing from any address.

    Args:
        path: The HTML file.
        study: The study.
        pictures: The pictures, in the order of the page.
        head: The head of the page. None: the head of a study.
        tables: The files of the tables, for links. Empty: the tables of the study.
        chosen: The label of the measure to show first. None: the measure that judges the arms.

    Returns:
        ``path``.
    """
    tables = tables or [file for name in (CSV, TABLE) if (file := study.folder / name).is_file()]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        **_told(study, head or headline.head_of(study), chosen),
        colors={arm: COLORS[index % len(COLORS)] for index, arm in enumerate(study.arms)},
        pictures=pictures,
        data=_data(pictures),
        sheet=sheet_of(study),
        versions=versions_of(study),
        configs=_configs(study),
        tables=[(file.name, _way(path, file)) for file in tables],
        bundle=scripts(),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
    )
    return write_report_file(path, page)


def _way(page: Path, file: Path) -> str:
    """The address of a file as it is written on the page."""
    return quote(os.path.relpath(file, page.parent), errors="surrogateescape")


def _told(study: Study, head: Head, chosen: str | None) -> dict[str, Any]:
    """Collect the words and numbers of the page."""
    label = chosen or headline.default_label(study)
    measure = next((measure for measure in study.measures if measure.label == label), None)
    return {
        "study": study,
        "lead": head.lead,
        "figures": head.figures,
        "notes": head.notes,
        "winners": headline.winners(study),
        "judged": headline.judged_by(study),
        "soups": _soups(study),
        "measure": measure,
        "results": headline.results(study, measure) if measure else None,
    }


def _soups(study: Study) -> list[list[str]]:
    """The rows of the table of soups: arm, density, copies in the soup, and three values of the metric."""
    if "tried" not in study.table:
        return []
    found = soups(study.table, "test_last" if study.facts.get("test_metric") else "val_last")
    metric = str(study.facts.get("test_metric") or study.metric)
    return [
        [row["arm"], percent(row["density"]), f"{row['members']:.3g}"]
        + ["" if row[name] != row[name] else score(metric, row[name]) for name in ("soup", "best_copy", "ensemble")]
        for row in found.to_dict("records")
    ]


def _data(pictures: Sequence[Picture]) -> str:
    """Write the pictures as JSON that cannot end the script element around it."""
    drawn = [
        {"name": picture.name, "spec": packed(without_arms(picture.spec)),
         "signals": [choice.signal for choice in picture.choices]}
        for picture in pictures if picture.spec is not None
    ]  # fmt: skip
    return json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _configs(study: Study) -> list[dict[str, Any]]:
    """Collect the command, the whole config and the search of each arm."""
    return [
        {"name": arm["name"], "command": arm["command"], "config": arm["config"], "search": _search(arm),
         "text": _text(study.folder, str(arm["config"]))}
        for arm in study.facts["arms"]
    ]  # fmt: skip


def _search(arm: Mapping[str, Any]) -> str:
    """Describe the search or the soup of an arm. With several arguments, each has its own values."""
    search, soup = arm.get("search"), arm.get("soup")
    if not search:
        return ""
    values = search["values"] if isinstance(search["values"], dict) else {search["argument"]: search["values"]}
    kind = "a search" if not soup else f"{'a greedy' if soup['greedy'] else 'a uniform'} soup of copies"
    return f"{kind} over " + "; ".join(f"{name}: {', '.join(map(str, tried))}" for name, tried in values.items())


def _text(folder: Path, name: str) -> str:
    path = inside(folder, name)
    if path is None or not path.is_file():
        return "There is no such file in the folder of the study."
    return path.read_text(encoding="utf-8", errors="replace")
