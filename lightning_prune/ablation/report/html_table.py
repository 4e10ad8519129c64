"""Prepare the tidy table for the page. Each cell has a text to read and a key for sorting."""

import math
from dataclasses import dataclass

import pandas as pd

from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL
from lightning_prune.lab.report.terminal import number, percent, score

WHOLE = ("seed", "cycle", "best_epoch", "epochs", "epochs_shared")
HEADERS = {
    "arm": "arm", "seed": "seed", "cycle": "cycle", "density": "density", "val_last": "val last",
    "val_best": "val best", "test_last": "test last", "test_best": "test best", "loss_last": "loss",
    SIGNS_FROM_BEFORE: "signs changed", SIGNS_FROM_INITIAL: "signs changed in all",
    "best_epoch": "best epoch", "epochs": "epochs", "epochs_shared": "of them shared", "seconds": "seconds",
    "seconds_shared": "of them shared", "peak_lr": "peak rate", "error": "error", "node": "node",
    "checkpoint": "checkpoint",
}  # fmt: skip
OF_STUDIES = ("seed", "epochs_shared", "seconds_shared")  # Single runs have one seed and share nothing.
TEXTS = ("arm", "error", "node", "checkpoint")


@dataclass(frozen=True)
class Cell:
    """The text of a cell, and the key by which rows are sorted."""

    shown: str
    key: str


@dataclass(frozen=True)
class Sheet:
    """A table for the page: headers, whether each column is a text, and rows of cells."""

    headers: list[str]
    texts: list[bool]
    rows: list[list[Cell]]


def sheet_of(study: Study) -> Sheet:
    """Write every row of the table. Columns without any value are left out."""
    known = [name for name in HEADERS if not (study.of_runs and name in OF_STUDIES)]
    columns = [name for name in known if name in study.table and study.table[name].notna().any()]
    rows = [[_cell(study, name, row[name]) for name in columns] for row in study.table.to_dict("records")]
    headers = {**HEADERS, "arm": study.member}
    return Sheet([headers[name] for name in columns], [name in TEXTS for name in columns], rows)


def versions_of(study: Study) -> list[str]:
    """List, once for all rows, the versions and the hardware of the training."""
    columns = ("version", "lightning", "torch", "hardware")
    names = {"version": "lightning-prune"}
    found = {name: study.table[name].dropna().astype(str).unique() for name in columns if name in study.table}
    return [f"{names.get(name, name)}: {', '.join(values)}" for name, values in found.items() if len(values)]


def _cell(study: Study, name: str, value: object) -> Cell:
    if pd.isna(value):  # type: ignore[call-overload]
        return Cell("", "")
    if name in TEXTS or not isinstance(value, int | float):
        return Cell(str(value), str(value))
    return Cell(_shown(study, name, float(value)), f"{float(value):.9g}")


def _shown(study: Study, name: str, value: float) -> str:
    if name in WHOLE:
        return f"{value:.0f}"
    if name in ("density", SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL):
        return percent(value)
    if name.startswith(("val", "test")):
        return score(study.metric, value)
    if name in ("peak_lr", "seconds", "seconds_shared"):
        return f"{value:.3g}" if math.isfinite(value) and abs(value) < 1000 else f"{value:.0f}"
    return number(value)
