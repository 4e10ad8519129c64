"""Lay out the tables for a reader, with only the columns that fit, and every cell in full."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL
from lightning_prune.lab.metric_names import Columns
from lightning_prune.lab.report.terminal import percent, rate_range, score
from lightning_prune.lab.visible import visible

Cells = dict[str, list[str]]

MISSING = "–"  # noqa: RUF001  # a dash, as in printed tables
WORDS = ("not pruned", "such as", "run")
SIGNS = {SIGNS_FROM_BEFORE: "signs changed", SIGNS_FROM_INITIAL: "signs changed in all"}
EXPENDABLE = ("of the model", "{train_loss}", "{train_metric}", "best in the cycle", "seconds", *SIGNS.values())
EXPENDABLE_TOO = ("epochs", "steps", "{val_loss}", "learning rate", "density")
MANY_DENSITIES = 24
WIDEST_NAME = 30


def cycles(title: str, table: pd.DataFrame, columns: Columns, width: int) -> RenderableType:
    """Lay out the table of cycles. If it is too wide, the least important columns are left out.

    Args:
        title: The text above the table.
        table: The table from :func:`~lightning_prune.lab.report.cycle_table.cycle_table`.
        columns: The logged columns to show.
        width: The number of characters that fit into a line.
    """
    shown = _cells_of_cycles(table, columns)
    order = [name.format(**vars(columns)) for name in (*EXPENDABLE, *EXPENDABLE_TOO)]
    dropped = []
    for name in [name for name in order if name in shown and name != columns.metric]:
        if _width(shown) <= width:
            break
        del shown[name]
        dropped.append(name)
    notes = [f"Left out to fit {width} characters: {', '.join(dropped)}. The CSV has all columns."] if dropped else []
    if table[columns.logged()].isna().any(axis=None):
        notes.append(f"{MISSING}: not measured in that cycle.")
    return _layout(title, shown, notes)


def skipped(table: pd.DataFrame) -> RenderableType:
    """Lay out the tensors that are not pruned, one row per reason."""
    groups = table.groupby("reason", sort=False)
    shown = {
        "not pruned": [str(reason) for reason, _ in groups],
        "tensors": [str(len(group)) for _, group in groups],
        "weights": [f"{group['weights'].sum():,}" for _, group in groups],
        "such as": [str(group["name"].iloc[0]) for _, group in groups],
    }
    return _layout("", shown)


def comparison(table: pd.DataFrame, metric: str, width: int) -> RenderableType:
    """Lay out several runs, one per row. Densities that do not fit side by side go into a block below.

    Args:
        table: The values of one metric, with a row per density and a column per run.
        metric: The name of the metric.
        width: The number of characters that fit into a line.
    """
    wanted = _evenly(len(table), MANY_DENSITIES)
    notes = ["More densities are in comparison.csv."] if len(wanted) < len(table) else []
    runs = {"run": [str(name) for name in table]}
    blocks = [runs]
    for row in wanted:
        cells = _texts(table.iloc[row], partial(score, metric))
        header = percent(float(table.index[row]))
        if len(blocks[-1]) > 1 and _width({**blocks[-1], header: cells}) > width:
            blocks.append(runs)
        blocks[-1] = {**blocks[-1], header: cells}
    title = f"{metric} at the end of the cycle, over the density"
    parts = [_layout(title if block is blocks[0] else "", block) for block in blocks]
    return Group(*parts, *map(Text, notes))


def _cells_of_cycles(table: pd.DataFrame, columns: Columns) -> Cells:
    shown = {"cycle": ["dense" if cycle == 0 else str(cycle) for cycle in table["cycle"]]}
    span = "epoch" if table["first_epoch"].notna().all() else "step"
    spans = zip(table[f"first_{span}"], table[f"last_{span}"], strict=True)
    shown[f"{span}s"] = [f"{first}" if first == last else f"{first}-{last}" for first, last in spans]
    shown["density"] = _texts(table["density"], percent)
    if table["model_density"].notna().any():
        shown["of the model"] = _texts(table["model_density"], percent)
    for name in columns.logged():
        shown[name] = _texts(table[name], partial(score, name))
    if columns.metric is not None and not table["best"].equals(table[columns.metric]):
        shown["best in the cycle"] = _texts(table["best"], partial(score, columns.metric))
    if table["lr_max"].notna().any():
        rates = zip(table["lr_min"], table["lr_max"], strict=True)
        shown["learning rate"] = [MISSING if pd.isna([*pair]).any() else rate_range(*pair) for pair in rates]
    for name, header in SIGNS.items():
        if table[name].notna().any():
            shown[header] = _texts(table[name], percent)
    if table["seconds"].notna().any():
        shown["seconds"] = _texts(table["seconds"], "{:.1f}".format)
    return shown


def _texts(values: pd.Series, write: Callable[[float], str]) -> list[str]:
    return [MISSING if pd.isna(value) else write(float(value)) for value in values]


def _evenly(count: int, most: int) -> Sequence[int]:
    """Choose at most ``most`` of the positions, always with the first and the last.

    Example:
        >>> list(_evenly(3, most=5)), _evenly(9, most=5)
        ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    return range(count) if count <= most else [math.floor(i * (count - 1) / (most - 1) + 0.5) for i in range(most)]


def _width(shown: Mapping[str, list[str]]) -> int:
    console = Console(width=10_000)
    return Measurement.get(console, console.options, _table(shown)).maximum


def _table(shown: Mapping[str, Collection[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in shown:
        words = name in WORDS
        header = Text(visible(name if words else _broken(name)))
        table.add_column(
            header,
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            max_width=WIDEST_NAME if name == "run" else None,
        )
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def _layout(title: str, shown: Mapping[str, list[str]], notes: Sequence[str] = ()) -> RenderableType:
    above = [Text(visible(title), style="bold")] if title else []
    return Group(*above, _table(shown), *map(Text, map(visible, notes)))


def _broken(header: str) -> str:
    """Break a header into two lines."""
    for gap in ("signs ", "of the ", "best in ", "learning ", "/"):
        header = header.replace(gap, f"{gap.rstrip()}\n")
    return header
