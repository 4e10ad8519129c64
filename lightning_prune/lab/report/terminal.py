"""The tables as a person reads them: per cent, few digits, no column without news."""

from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lightning_prune.lab.report.names import Columns, is_fraction
from lightning_prune.lab.report.reading import Run

WIDTH_OF_A_FILE = 120


def report_console() -> Console:
    """Open a console as wide as the terminal; wide enough for the tables where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)


def cycles(title: str, table: pd.DataFrame, columns: Columns) -> RenderableType:
    """Lay out the table per cycle."""
    shown = {"cycle": ["dense" if cycle == 0 else str(cycle) for cycle in table["cycle"]]}
    spans = zip(table["first_epoch"], table["last_epoch"], strict=True)
    shown["epochs"] = [f"{first}-{last}" for first, last in spans]
    shown["density"] = _texts(table["density"], percent)
    if table["model_density"].notna().any():
        shown["of the\nmodel"] = _texts(table["model_density"], percent)
    for name in columns.logged():
        shown[name.replace("/", "/\n")] = _texts(table[name], _style_of(name))
    if columns.metric is not None and not table["best"].equals(table[columns.metric]):
        shown["best in\nthe cycle"] = _texts(table["best"], _style_of(columns.metric))
    if table["lr_max"].notna().any():
        rates = zip(table["lr_min"], table["lr_max"], strict=True)
        shown["learning\nrate"] = [rate_range(low, high) for low, high in rates]
    if table["seconds"].notna().any():
        shown["seconds"] = _texts(table["seconds"], "{:.1f}".format)
    return _layout(title, shown)


def skipped(table: pd.DataFrame) -> RenderableType:
    """Lay out what is not pruned, one row per reason."""
    groups = table.groupby("reason", sort=False)
    shown = {
        "not pruned": [str(reason) for reason, _ in groups],
        "tensors": [str(len(group)) for _, group in groups],
        "weights": [f"{group['weights'].sum():,}" for _, group in groups],
        "such as": [str(group["name"].iloc[0]) for _, group in groups],
    }
    return _layout("", shown)


def comparison(table: pd.DataFrame, metrics: Iterable[str]) -> RenderableType:
    """Lay out several runs side by side."""
    wanted = list(metrics)
    shown = {"density": [percent(float(density)) for density in table.index]}
    for name, metric in zip(table, wanted, strict=True):
        shown[str(name)] = _texts(table[name], _style_of(metric))
    return _layout(f"{', '.join(dict.fromkeys(wanted))} at the end of the cycle", shown)


def progress_of(run: Run) -> str | None:
    """Say where a run stands if it did not come to its end."""
    if run.record is None or run.finished:
        return None
    begun, planned = len(run.record["cycles"]), run.record["settings"]["cycles"]
    where = f"in cycle {begun} of {planned}" if begun else f"in the dense training, before {planned} cycles"
    return f"Not finished: the run is still going or was interrupted, {where}."


def score(name: str, value: float) -> str:
    """Write a metric: a fraction in per cent, anything else as a number.

    Example:
        >>> score("test/accuracy", 0.931), score("test/loss", 0.2)
        ('93.1 %', '0.2000')
    """
    return percent(value) if is_fraction(name) else number(value)


def percent(fraction: float) -> str:
    """Write a fraction in per cent, with one digit, or two significant ones where that says more.

    Example:
        >>> percent(0.0439), percent(0.00047), percent(1.0)
        ('4.4 %', '0.047 %', '100.0 %')
    """
    return f"{100 * fraction:.1f} %" if fraction >= 0.01 or fraction == 0 else f"{100 * fraction:.2g} %"


def number(value: float) -> str:
    """Write a number with four decimals, or four digits if it is large.

    Example:
        >>> number(0.00123456), number(0.3), number(4096.2)
        ('0.0012', '0.3000', '4096')
    """
    return f"{value:.4f}" if abs(value) < 10 else f"{value:#.4g}".rstrip(".")


def rate_range(low: float, high: float) -> str:
    """Write a range of learning rates, or the one rate.

    Example:
        >>> rate_range(0.001, 0.1), rate_range(0.01, 0.01)
        ('0.001-0.1', '0.01')
    """
    return f"{high:.3g}" if low == high else f"{low:.3g}-{high:.3g}"


def _style_of(metric: str) -> Callable[[float], str]:
    return partial(score, metric)


def _texts(values: pd.Series, write: Callable[[float], str]) -> list[str]:
    return ["" if pd.isna(value) else write(float(value)) for value in values]


def _layout(title: str, shown: dict[str, list[str]]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, texts in shown.items():
        words = any(character.isalpha() for text in texts for character in text if text != "dense")
        table.add_column(name, justify="left" if words else "right", no_wrap=not words)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return Group(Text(title, style="bold"), table) if title else table
