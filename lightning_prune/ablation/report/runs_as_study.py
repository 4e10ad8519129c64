"""Show runs as a study: every run is an arm with one seed, so that runs and studies have the same page."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.report.headline import Figure, Head
from lightning_prune.ablation.report.reported_study import OF_RUNS, Study
from lightning_prune.ablation.report.words import duration, listed, plural
from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL
from lightning_prune.lab.metric_names import Columns, is_fraction, lower_is_better
from lightning_prune.lab.report.evaluations import latest, sentences
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.terminal import percent, progress_of, score

CONFIG = "config.yaml"


def study_of(runs: Sequence[Run], tables: Sequence[pd.DataFrame], columns: Sequence[Columns]) -> Study:
    """Put runs together as the arms of a study.

    Args:
        runs: The runs, with names that differ.
        tables: The table of cycles of each run.
        columns: The logged columns of each run. The first run's metric judges all runs that logged it.

    Returns:
        The study. Its folder is the folder of the run, or the folder that holds all runs.
    """
    metric = next((one.metric for one in columns if one.metric is not None), None)
    folder = Path(os.path.commonpath([run.folder.resolve() for run in runs]))
    test = None if metric is None else _test_of(metric, runs)
    table = pd.concat(
        [_rows(run, cycles, one, metric, test) for run, cycles, one in zip(runs, tables, columns, strict=True)],
        ignore_index=True,
    )
    facts: dict[str, Any] = {
        "kind": OF_RUNS,
        "name": listed([run.name for run in runs]) if len(runs) < 4 else plural(len(runs), "run"),
        "command": shlex.join(["lightning-prune", "report", *(str(run.folder) for run in runs)]),
        "metric": metric,
        "mode": "min" if metric is not None and lower_is_better(metric) else "max",
        "test_metric": test,
        "seeds": [0],
        "arms": [_arm(run, folder) for run in runs],
        "paths": [{"arm": run.name, "seed": 0, "nodes": [], "error": None} for run in runs],
        "nodes": {},
    }
    return Study(folder, facts, table)


def head_of_runs(study: Study, runs: Sequence[Run]) -> Head:
    """Write the head of the page: the results, the sizes, and the missing things.

    Args:
        study: The study from :func:`study_of`.
        runs: The runs.
    """
    return Head(_lead(study), _figures(study), [note for run in runs for note in _notes(run, len(runs) > 1)])


def _lead(study: Study) -> str:
    measure = next((one for one in study.measures if one.column == "val_last"), None)
    if measure is None:
        return "No validation metric was logged."
    known = study.table.dropna(subset=["val_last"])
    ends = {str(arm): rows.iloc[[0, -1]] for arm, rows in known.groupby("arm", sort=False)}
    if len(study.arms) > 1:
        parts = [f"{arm} {_value(study, rows, -1)}" for arm, rows in ends.items()]
        judged = f"{plural(len(study.arms), 'run')}, judged by {study.metric} at the end of the last cycle"
        return f"{judged}: {listed(parts)}. Each run has one seed, so small differences may be chance."
    (rows,) = ends.values()
    is_dense = rows["cycle"].iloc[0] == 0 and rows["density"].iloc[0] == 1
    dense = f"{score(study.metric, rows['val_last'].iloc[0])} dense, then " if is_dense else ""
    return f"{study.metric} at the end of the cycle: {dense}{_value(study, rows, -1)}."


def _value(study: Study, rows: pd.DataFrame, place: int) -> str:
    row = rows.iloc[place]
    return f"{score(study.metric, row['val_last'])} with {percent(row['density'])} of the weights"


def _figures(study: Study) -> list[Figure]:
    table, count = study.table, len(study.arms)
    shown = [Figure(str(count), "runs")] if count > 1 else []
    if count == 1:
        shown.append(Figure(str(int(table["cycle"].max())), "cycles after the dense run"))
        shown.append(Figure(percent(float(table["density"].iloc[-1])), "of the prunable weights are left"))
    shown.append(Figure(f"{int(table['epochs'].sum()):,}", "epochs trained"))
    if table["seconds"].notna().any():
        shown.append(Figure(duration(float(table["seconds"].sum())), "of training"))
    return shown


def _notes(run: Run, named: bool) -> list[str]:
    found = [note for note in (progress_of(run), *sentences(run)) if note is not None]
    return [f"{run.name}: {note}" for note in found] if named else found


def _rows(run: Run, cycles: pd.DataFrame, columns: Columns, metric: str | None, test: str | None) -> pd.DataFrame:
    """The rows of a run in the columns of a study's table. A run that lacks the metric has no results."""
    judged = metric is not None and columns.metric == metric
    table = pd.DataFrame({"arm": run.name, "seed": 0, "cycle": cycles["cycle"].astype(float)})
    table["density"], table["sparsity"] = cycles["density"].astype(float), cycles["sparsity"].astype(float)
    table["val_last"] = cycles[metric].astype(float) if judged else float("nan")
    table["val_best"] = cycles["best"].astype(float) if judged else float("nan")
    loss = columns.val_loss if columns.val_loss != metric else None
    table["loss_last"] = cycles[loss].astype(float) if loss is not None else float("nan")
    table["test_last"] = float("nan")
    value, cycle = _tested(run, test)
    table.loc[table["cycle"] == cycle, "test_last"] = value
    table["epochs"], table["epochs_shared"] = cycles["epochs"].astype(float), 0.0
    table["seconds"], table["peak_lr"] = cycles["seconds"].astype(float), cycles["lr_max"].astype(float)
    for name in (SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL):
        table[name] = cycles[name].astype(float)
    return table.assign(error=None)


def _test_of(metric: str, runs: Sequence[Run]) -> str | None:
    """The test metric that goes with the validation metric. Both are fractions, or both are not."""
    logged = dict.fromkeys(name for run in runs for name in latest(run, "test"))
    alike = [name for name in logged if "loss" not in name and is_fraction(name) == is_fraction(metric)]
    wished = [metric.replace(stage, "test", 1) for stage in ("validation", "valid", "val")]
    return next((name for name in wished if name in logged), next(iter(alike), None))


def _tested(run: Run, test: str | None) -> tuple[float, int]:
    """The last test result, and the cycle from which its weights come. -1 for an unknown cycle."""
    values, table = latest(run, "test"), run.results.get("test", pd.DataFrame())
    if test not in values or "step" not in table or pd.isna(table["step"].iloc[-1]):
        return float("nan"), -1
    # The step of a checkpoint counts the finished steps, so its weights come from the step before.
    last = max(int(table["step"].iloc[-1]) - 1, 0)
    return values[test], int(run.cycles_of(pd.Series([last])).iloc[0])


def _arm(run: Run, folder: Path) -> Mapping[str, Any]:
    config = run.folder / CONFIG
    where = os.path.relpath(config.resolve(), folder)
    command = shlex.join(["lightning-prune", "fit", "--config", str(config)]) if config.is_file() else ""
    return {"name": run.name, "config": where, "command": command, "search": None}
