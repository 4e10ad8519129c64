"""Write small CSV files row by row beside the log of a run. They are continued, and rows of two runs never mix."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from io import StringIO
from itertools import chain, count
from pathlib import Path
from typing import Any

from lightning_prune.basics.write_whole import write_whole

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file. Empty if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add rows below the existing rows. A new column is empty in the older rows.

    Args:
        path: The file. The file and its folder are made if they do not exist.
        rows: The new rows.
    """
    if not rows:
        return
    header = _header(path)
    columns = list(dict.fromkeys([*header, *(name for row in rows for name in row)]))
    if columns == header:
        with path.open("a", newline="") as file:
            csv.DictWriter(file, columns).writerows(rows)
    else:
        write_rows(path, columns, [*read_rows(path), *rows])


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a new CSV file, whole or not at all."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def drop_rows(path: Path, first_step: int, keep_old: bool = True) -> int:
    """Drop the rows of steps that will be made again.

    Args:
        path: A CSV file with a ``step`` column. Nothing happens if the file does not exist.
        first_step: The first step to drop.
        keep_old: Whether the whole file stays beside it, as ``<name>.previous.csv``, ``<name>.previous-2.csv``, ...

    Returns:
        The number of dropped rows.
    """
    rows = read_rows(path)
    kept = [row for row in rows if int(row["step"]) < first_step]
    if len(kept) < len(rows):
        if keep_old:
            keep_copy(path)
        write_rows(path, _header(path), kept)
    return len(rows) - len(kept)


def keep_copy(path: Path) -> None:
    """Copy a file, if it exists, to ``<name>.previous.csv`` beside it, or the next free ``<name>.previous-2.csv``."""
    if path.exists():
        names = chain([path.with_suffix(".previous.csv")], map(partial(_numbered, path), count(2)))
        shutil.copyfile(path, next(name for name in names if not name.exists()))


def _numbered(path: Path, number: int) -> Path:
    return path.with_suffix(f".previous-{number}.csv")


def _header(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
