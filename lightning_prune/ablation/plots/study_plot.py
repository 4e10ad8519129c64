"""Draw the metric of a study over the density, a line for each arm."""

from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.ablation.report.picture_files import alone
from lightning_prune.ablation.report.pictures.over_density import draw_over_density
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.study import Ablation
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import lower_is_better

COLUMNS = ("arm", "seed", "cycle", "density")


def plot_study(study: Ablation | pd.DataFrame | str | Path, metric: str | None = None) -> Plot:
    """Draw the mean of each arm over the density, with its 95 % interval over the seeds.

    Args:
        study: A study after ``run``, the folder of one, or a table with a row for each arm, seed and cycle: the columns
            ``arm``, ``seed``, ``cycle``, ``density`` and the metric.
        metric: The column to draw, such as ``"val_last"`` of a study. None: the test results at the end of the cycles,
            or the validation results where nothing was tested.

    Returns:
        The picture. Its rows have arm, density, mean and interval.

    Raises:
        FileNotFoundError: If the folder holds no study.
        ValueError: If the table lacks a column, or nothing was measured.
        RuntimeError: If the study was not run yet.

    Example:
        >>> table = pd.DataFrame({"arm": "a", "seed": [0, 1], "cycle": 1, "density": 0.5, "accuracy": [0.8, 0.9]})
        >>> [(row["arm"], round(row["mean"], 3)) for row in plot_study(table, metric="accuracy").rows]
        [('a', 0.85)]
    """
    read = _read(study, metric)
    columns = {measure.column: measure.label for measure in read.measures}
    if not columns:
        raise UserError(
            "plot_study(study): no arm has a result yet. Run the study first, or give a table with results."
        )
    column = metric if metric in columns else next(iter(columns))
    if metric is not None and column != metric and not isinstance(study, pd.DataFrame):
        raise UserError(f"plot_study(metric={metric!r}) was not measured.{suggest(metric, list(columns))}")
    spec = alone(draw_over_density(read, columns[column]))
    rows = [row for row in spec["datasets"]["rows"] if row["measure"] == columns[column]]
    return Plot({**spec, "datasets": {"rows": rows}})


def _read(study: Ablation | pd.DataFrame | str | Path, metric: str | None) -> Study:
    if isinstance(study, str | Path):
        return read_study(Path(study))
    if isinstance(study, Ablation):
        frame = study.frame()
        return _study(frame, str(next(iter(frame["metric"].dropna()), "validation")), study.config.name)
    if not isinstance(study, pd.DataFrame):
        raise UserError(f"plot_study({type(study).__name__}) draws an Ablation, its folder, or a table of pandas.")
    if metric is None and "val_last" not in study and "test_last" not in study:
        raise UserError("plot_study(table) needs metric=...: the name of the column to draw.")
    if missing := [name for name in (*COLUMNS, *([metric] if metric else [])) if name not in study]:
        raise UserError(
            f"plot_study(table) has no column {', '.join(missing)}, only {', '.join(map(str, study.columns))}."
        )
    if metric is None or metric in ("val_last", "val_best", "test_last", "test_best", "loss_last"):
        return _study(study, "validation", "table")
    return _study(study[list(COLUMNS)].assign(val_last=study[metric].astype(float)), metric, "table")


def _study(table: pd.DataFrame, metric: str, name: str) -> Study:
    """A study of nothing but its table."""
    table = table.assign(arm=table["arm"].astype(str), density=table["density"].astype(float))
    facts: dict[str, Any] = {
        "name": name,
        "metric": metric,
        "mode": "min" if lower_is_better(metric) else "max",
        "test_metric": metric.replace("val", "test") if "val" in metric else None,
        "seeds": sorted(table["seed"].unique()),
        "arms": [{"name": arm} for arm in table["arm"].unique()],
        "paths": [],
        "nodes": {},
    }
    return Study(Path(), facts, table)
