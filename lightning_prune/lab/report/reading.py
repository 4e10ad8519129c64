"""What a run left behind: metrics.csv and pruning.json, read into one value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

METRICS = "metrics.csv"
RECORD = "pruning.json"
CYCLE = "pruning/cycle"


@dataclass(frozen=True)
class Run:
    """One run, as it was logged."""

    name: str
    """How tables and pictures call it."""
    folder: Path
    """Where metrics.csv lies."""
    rows: pd.DataFrame
    """metrics.csv: one row per call of a logger, most cells empty."""
    record: Mapping[str, Any] | None
    """pruning.json, if there is one."""

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per finished epoch: the last value of every column, and the epoch's cycle as an integer."""
        named = self.rows.dropna(subset=["epoch"])
        epochs = named.groupby(named["epoch"].astype(int)).last(numeric_only=True).dropna(subset=[CYCLE])
        return epochs.astype({CYCLE: int}).drop(columns="epoch", errors="ignore")

    @property
    def first_steps(self) -> dict[int, int]:
        """The optimizer step that each cycle began with, cycle 0 being the dense training."""
        if self.record is not None:
            return {0: 0} | {entry["cycle"]: entry["first_step"] for entry in self.record["cycles"]}
        last_steps = self.epochs.groupby(CYCLE)["step"].max()
        return {int(cycle): 0 if cycle == 0 else int(last_steps.get(cycle - 1, -1)) + 1 for cycle in last_steps.index}

    @property
    def finished(self) -> bool | None:
        """Whether the run came to its end; ``None`` where it cannot be known."""
        return None if self.record is None else bool(self.record["finished"])


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read several runs and give them names that differ.

    Args:
        paths: Run folders, or parents of ``version_*`` folders.

    Returns:
        The runs in the same order, each once.
    """
    folders = list(dict.fromkeys(find_run(path) for path in paths))
    return [read_run(folder, name) for folder, name in zip(folders, short_names(folders), strict=True)]


def find_run(path: Path) -> Path:
    """Find the folder that holds metrics.csv: the path itself, or the newest of its ``version_*`` folders.

    Raises:
        FileNotFoundError: If there is no such folder; the message says what was found instead.
    """
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise FileNotFoundError(f"`report {path}`: {path} {what}. Give the folder of a run, the one with {METRICS}.")
    if (path / METRICS).is_file():
        return path
    versions = [folder for folder in path.glob("version_*") if (folder / METRICS).is_file()]
    if not versions:
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"`report {path}`: there is no {METRICS} in {path} nor in a version_* folder of it; found {found}. "
            "Give the folder of a run that logged with a CSVLogger."
        )
    return max(versions, key=lambda folder: (folder / METRICS).stat().st_mtime)


def read_run(folder: Path, name: str) -> Run:
    """Read one run.

    Args:
        folder: Where metrics.csv lies.
        name: How tables and pictures are to call the run.

    Raises:
        ValueError: If metrics.csv is empty or holds nothing about pruning, or pruning.json is damaged.
    """
    path = folder / METRICS
    try:
        rows = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        rows = pd.DataFrame()
    if rows.empty:
        raise ValueError(f"`report {folder}`: {path} is empty. Wait for the first epoch to end, then report again.")
    if CYCLE not in rows:
        raise ValueError(
            f"`report {folder}`: {path} has no column {CYCLE}, only {', '.join(map(str, rows.columns[:8]))}. "
            "Was `lightning_prune.IterativePruning` among the callbacks, and one epoch finished?"
        )
    return Run(name, folder, rows, _read_record(folder / RECORD))


def short_names(folders: Sequence[Path]) -> list[str]:
    """Name every folder by the last parts of its path, as many as tell the folders apart.

    A ``version_*`` alone says nothing, so its parent speaks for it where that is enough.

    Example:
        >>> short_names([Path("runs/silo/version_0"), Path("runs/clr/version_3")])
        ['silo', 'clr']
        >>> short_names([Path("runs/silo/version_0"), Path("runs/silo/version_1")])
        ['silo/version_0', 'silo/version_1']
    """
    full = [folder.resolve() for folder in folders]
    spoken = [path.parent if path.name.startswith("version_") else path for path in full]
    paths, shallowest = (spoken, 1) if len(set(spoken)) == len(full) else (full, 2)
    for depth in range(shallowest, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _read_record(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return cast(Mapping[str, Any], json.loads(path.read_text()))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it to report what {METRICS} holds.") from error
