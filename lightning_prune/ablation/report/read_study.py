"""Read a study from study.json and its table, and put the run of an arm together from its nodes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.report.arm_names import rename
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.table_checks import MEASURED
from lightning_prune.ablation.storage.named_tables import read_named_table
from lightning_prune.ablation.storage.shared_store import WRITE_ANEW
from lightning_prune.basics.file_names import METRICS, STUDY
from lightning_prune.basics.user_error import NothingThere, UserError
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.read_run import read_run

TABLE = "table.parquet"
CSV = "table.csv"
FORMAT = 1
KEYS = ("name", "command", "metric", "mode", "test_metric", "seeds", "arms", "paths", "nodes")
COLUMNS = ("arm", "seed", "cycle", "density", "epochs", "error")
NUMBERS = ("cycle", "density", "sparsity", *MEASURED)


def read_study(folder: Path) -> Study:
    """Read a study.

    Args:
        folder: The folder with study.json.

    Raises:
        FileNotFoundError: If there is no study, or its table is not written yet.
        ValueError: If a file is damaged or of another format.
    """
    if not (folder / STUDY).is_file():
        raise NothingThere(f"`report {folder}`: there is no {STUDY} in it. Give the folder of a study (its --out).")
    facts = _read_facts(folder / STUDY)
    return Study(folder, *rename(facts, _read_table(folder, str(facts["command"]))))


def read_arm(study: Study, arm: str, seed: int) -> Run | None:
    """Put the run of an arm together from the folders of its nodes.

    Returns:
        The run up to the last node that logged something. ``None`` if no node did.

    Raises:
        ValueError: If a file of a node is damaged.
    """
    path = study.path(arm, seed)
    names = [str(study.nodes[key]["name"]) for key in (path or {}).get("nodes", ()) if key in study.nodes]
    folders = [folder for name in names if (folder := inside(study.store / "nodes", name)) is not None]
    parts = [read_run(folder, arm) for folder in folders if (folder / METRICS).is_file()]
    if not parts:
        return None
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    rates = [part.rates for part in parts if len(part.rates)]
    return Run(arm, parts[-1].folder, rows, parts[-1].record, pd.concat(rates) if rates else pd.DataFrame())


def inside(folder: Path, name: str) -> Path | None:
    """Find a file that a record names, if it lies in a folder.

    A study may come from a stranger. Therefore a report shows only files in the folders of the study.

    Args:
        folder: The folder in which the file must lie.
        name: The path in the record, relative to the folder.

    Returns:
        The path. ``None`` if the file does not exist, or lies outside the folder.
    """
    try:
        found = Path(os.path.realpath(folder / name))
        return found if found.is_relative_to(os.path.realpath(folder)) and found.exists() else None
    except (OSError, ValueError):  # For example a name that no file can have.
        return None


def _read_facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}). {WRITE_ANEW}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise UserError(
            f"{path} has format {found!r}, this version reads {FORMAT}. Report with the version that wrote it."
        )
    if missing := [key for key in KEYS if key not in facts]:
        raise UserError(f"{path} lacks {', '.join(missing)}. {WRITE_ANEW}")
    return facts


def _read_table(folder: Path, command: str) -> pd.DataFrame:
    paths = [path for path in (folder / TABLE, folder / CSV) if path.is_file()]
    if not paths:
        raise NothingThere(f"`report {folder}`: there is no {TABLE} yet. Let the study go on with\n  {command}")
    try:
        table = pd.read_parquet(paths[0]) if paths[0].name == TABLE else read_named_table(paths[0], "arm")
    except (ValueError, OSError) as error:
        raise UserError(
            f"{paths[0]} cannot be read ({str(error).strip()}). Run the study again:\n  {command}"
        ) from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(f"{paths[0]} has no column {', '.join(missing)}. Run the study again:\n  {command}")
    numbers = [name for name in NUMBERS if name in table]
    return table.astype(dict.fromkeys(numbers, float)).astype({"seed": int, "arm": str})
