"""The tidy table as the page shows it: what a person reads, and the number that it sorts by."""

import math
from dataclasses import dataclass

import pandas as pd

from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.terminal import number, percent, score

WHOLE = ("seed", "cycle", "best_epoch", "epochs", "epochs_shared")
HEADERS = {
    "arm": "arm", "seed": "seed", "cycle": "cycle", "density": "density", "val_last": "val last",
    "val_best": "val best", "test_last": "test last", "test_best": "test best", "loss_last": "loss",
    "best_epoch": "best epoch", "epochs": "epochs", "epochs_shared": "of them shared", "seconds": "seconds",
    "seconds_shared": "of them shared", "peak_lr": "peak rate", "error": "error", "node": "node",
    "checkpoint": "checkpoint",
}  # fmt: skip
TEXTS = ("arm", "error", "node", "checkpoint")


@dataclass(frozen=True)
class Cell:
    """What is shown, and what rows are sorted by."""

    shown: str
    key: str


@dataclass(frozen=True)
class Sheet:
    """A table for the page: headers, which of them are texts, and rows of cells."""

    headers: list[str]
    texts: list[bool]
    rows: list[list[Cell]]


def sheet_of(study: Study) -> Sheet:
    """Write every row of the table; columns without any value are left out."""
    columns = [name for name in HEADERS if name in study.table and study.table[name].notna().any()]
    rows = [[_cell(study, name, row[name]) for name in columns] for row in study.table.to_dict("records")]
    return Sheet([HEADERS[name] for name in columns], [name in TEXTS for name in columns], rows)


def versions_of(study: Study) -> list[str]:
    """Say once for all rows which versions and which hardware they come from."""
    columns = ("version", "lightning", "torch", "hardware")
    names = {"version": "lightning-prune"}
    found = {name: study.table[name].dropna().astype(str).unique() for name in columns if name in study.table}
    return [f"{names.get(name, name)}: {', '.join(values)}" for name, values in found.items() if len(values)]


def _cell(study: Study, name: str, value: object) -> Cell:
    if pd.isna(value):  # type: ignore[call-overload]
        return Cell("", "")
    if name in TEXTS or not isinstance(value, int | float):
        return Cell(str(value), str(value))
    return Cell(_shown(study, name, float(value)), repr(float(value)))


def _shown(study: Study, name: str, value: float) -> str:
    if name in WHOLE:
        return f"{value:.0f}"
    if name == "density":
        return percent(value)
    if name.startswith(("val", "test")):
        return score(study.metric, value)
    if name in ("peak_lr", "seconds", "seconds_shared"):
        return f"{value:.3g}" if math.isfinite(value) and abs(value) < 1000 else f"{value:.0f}"
    return number(value)
