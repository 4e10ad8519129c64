"""Read and check the files of a run: metrics.csv, pruning.json, rates.csv, test.csv and validate.csv."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_prune.basics.file_formats import RECORD_FORMAT, refuse_format
from lightning_prune.basics.file_names import METRICS, RATES, RECORD
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.report.finding import find_run, short_names
from lightning_prune.lab.report.logged_run import CYCLE, Run

EVALUATIONS = ("test", "validate")
KEYS = ("settings", "pruned", "skipped", "cycles", "finished")
KEYS_OF_A_CYCLE = ("cycle", "first_step", "alive")
KEYS_OF_A_TENSOR = ("name", "weights")
NUMBERS = ("epoch", "step", "lr-", "pruning/")  # Columns that begin so hold numbers.
FINITE = ("pruning/density", "pruning/sparsity")
WHOLE = ("epoch", "step", CYCLE)
LARGEST = 2**53


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read several runs and give them names that differ.

    Args:
        paths: Run folders, or parents of ``version_*`` folders.

    Returns:
        The runs in the same order, each once.
    """
    folders = list(dict.fromkeys(find_run(path) for path in paths))
    return [read_run(folder, name) for folder, name in zip(folders, short_names(folders), strict=True)]


def read_run(folder: Path, name: str) -> Run:
    """Read one run.

    Args:
        folder: The folder with metrics.csv.
        name: The name of the run in tables and pictures.

    Raises:
        ValueError: If metrics.csv is empty or holds nothing about pruning, or any of the files is damaged.
    """
    path = folder / METRICS
    rows = _read_csv(path)
    if rows.empty:
        raise UserError(f"`report {folder}`: {path} is empty. Wait for the first epoch to end, then report again.")
    if CYCLE not in rows:
        raise UserError(
            f"`report {folder}`: {path} has no column {CYCLE}, only {', '.join(map(str, rows.columns[:8]))}. "
            "Was `lightning_prune.IterativePruning` among the callbacks, and one epoch finished?"
        )
    _require_columns(path, rows, ("epoch", "step", CYCLE))
    fit = rows_of_the_fit(rows)
    if fit["step"].isna().all():
        raise UserError(f"{path} is damaged: no row has a step. Mend the column, or give another run.")
    results = {stage: _read_table(folder / f"{stage}.csv") for stage in EVALUATIONS}
    results["test"] = _tests_of_old(rows) if results["test"].empty else results["test"]
    rates = _read_table(folder / RATES)
    rates = rates.set_index("step").filter(regex="^lr-") if len(rates) else rates
    return Run(name, folder, fit, _read_record(folder / RECORD), rates, results)


def rows_of_the_fit(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of a later ``test`` or ``validate``. In a fit, steps and epochs never decrease.

    Example:
        >>> rows = pd.DataFrame({"step": [9, 16, 0], "epoch": [None, 0, 0], "val/loss": [0.9, 0.2, 7.0]})
        >>> rows_of_the_fit(rows)["step"].tolist()
        [9, 16]
    """
    backwards = (rows["step"] < rows["step"].cummax()) | (rows["epoch"] < rows["epoch"].ffill().cummax())
    others = [name for name in rows if name not in ("step", "epoch") and not str(name).startswith("test")]
    return rows[~backwards & rows[others].notna().any(axis=1)]


def _tests_of_old(rows: pd.DataFrame) -> pd.DataFrame:
    """The test results in metrics.csv, which does not hold the step of the checkpoint."""
    tested = rows[[name for name in rows if str(name).startswith("test")]].dropna(how="all")
    return tested.ffill().tail(1)


def _read_table(path: Path) -> pd.DataFrame:
    table = _read_csv(path) if path.is_file() else pd.DataFrame()
    if len(table):
        _require_columns(path, table, ("step",))
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, low_memory=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as a CSV file ({str(error).strip()}). Mend or delete it.") from error


def require_numbers(path: Path, table: pd.DataFrame, names: Collection[str]) -> None:
    """Refuse a file if a column that is used holds anything other than numbers.

    Args:
        path: The file, for the message.
        table: The content of the file.
        names: The columns.

    Raises:
        ValueError: If a column holds a text, or a number that steps, epochs, cycles or densities cannot have. The
            message names the column and the value.
    """
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce").astype(float)
        fits = numbers.notna()
        if name in WHOLE:
            fits &= (numbers % 1 == 0) & (numbers.abs() <= LARGEST)
        elif name.startswith(FINITE):
            fits &= np.isfinite(numbers)
        if wrong := table[name][~fits & table[name].notna()].tolist():
            kind = "a whole number" if name in WHOLE else "a number"
            raise UserError(f"{path} is damaged: column {name} holds {wrong[0]!r}, not {kind}. Mend that row.")


def _require_columns(path: Path, table: pd.DataFrame, columns: Collection[str]) -> None:
    """Refuse a table without the columns that every run logs, or with other values than numbers in such a column."""
    for column in columns:
        if column not in table:
            raise UserError(f"{path} has no column {column}, only {', '.join(map(str, table.columns[:8]))}.")
    require_numbers(path, table, [str(name) for name in table if str(name).startswith(NUMBERS)])


def _read_record(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}). Delete it to report what {METRICS} holds.") from error
    if isinstance(record, dict) and "format" in record:
        refuse_format(record["format"], RECORD_FORMAT, str(path))
    missing = _missing_keys(record)
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}. Delete it to report what {METRICS} holds.")
    for what, value, fits in _contents(record):
        if not fits:
            raise UserError(
                f"{path} is damaged: {what} is {str(value)[:40]!r}, which it cannot be. Delete the file to report what "
                f"{METRICS} holds."
            )
    return dict(record)


def _contents(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Yield the values of a record with their names, and whether each is valid: whole counts, and names as texts."""
    counts = [("settings.cycles", record["settings"]["cycles"]), ("model_weights", record.get("model_weights", 0))]
    for entry in record["cycles"]:
        yield "cycles.alive", entry["alive"], isinstance(entry["alive"], dict)
        counts += [(f"cycles.{key}", entry[key]) for key in ("cycle", "first_step")]
        counts += [(f"cycles.alive.{name}", count) for name, count in entry["alive"].items()]
    tensors = [(f"{part}.{key}", tensor[key]) for part in ("pruned", "skipped") for tensor in record[part]
               for key in ("name", "reason", "weights") if key in tensor]  # fmt: skip
    counts += [(what, value) for what, value in tensors if what.endswith("weights")]
    yield from ((what, text, isinstance(text, str)) for what, text in tensors if not what.endswith("weights"))
    yield from ((what, count, type(count) is int and 0 <= count <= LARGEST) for what, count in counts)


def _missing_keys(record: Any) -> list[str]:
    if not isinstance(record, dict):
        return list(KEYS)
    missing = [key for key in KEYS if key not in record]
    parts = [("settings", ("cycles",), [record.get("settings")]), ("cycles", KEYS_OF_A_CYCLE, record.get("cycles", []))]
    parts += [(part, KEYS_OF_A_TENSOR, record.get(part, [])) for part in ("pruned", "skipped")]
    for part, keys, entries in parts:
        whole = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
        absent = [key for key in keys if not whole or any(key not in entry for entry in entries)]
        missing += [f"{part}.{key}" for key in absent if part not in missing]
    return missing
