"""Draw the metric of a study over the density, or the difference to one arm, a line for each arm."""

from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.ablation.report.picture_files import alone
from lightning_prune.ablation.report.pictures.differences import draw_differences
from lightning_prune.ablation.report.pictures.over_density import draw_over_density
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.study import Ablation
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import lower_is_better

COLUMNS = ("arm", "seed", "cycle", "density")


def plot_study(
    study: Ablation | pd.DataFrame | str | Path, metric: str | None = None, against: str | None = None
) -> Plot:
    """Draw the mean of each arm over the density, with its 95 % interval over the seeds.

    With ``against``, draw the differences of all other arms to one arm instead. They are paired by seed, as those of
    :meth:`Ablation.compare <lightning_prune.ablation.study.Ablation.compare>`, so their intervals are narrower where
    arms share their dense run. A filled mark is a significant difference, a hollow one is undecided.

    Args:
        study: A study after ``run``, the folder of one, or a table with a row for each arm, seed and cycle: the columns
            ``arm``, ``seed``, ``cycle``, ``density`` and the metric.
        metric: The column to draw, such as ``"val_last"`` of a study. None: the test results at the end of the cycles,
            or the validation results where nothing was tested.
        against: The arm that the others are compared with. None: draw the means of all arms.

    Returns:
        The picture. Its rows have arm, density, mean and interval, or ``difference`` in place of the mean.

    Raises:
        FileNotFoundError: If the folder holds no study.
        ValueError: If the table lacks a column, nothing was measured, or ``against`` has no result, or is the only arm.
        RuntimeError: If the study was not run yet.

    Example:
        >>> table = pd.DataFrame({"arm": "a", "seed": [0, 1], "cycle": 1, "density": 0.5, "accuracy": [0.8, 0.9]})
        >>> [(row["arm"], round(row["mean"], 3)) for row in plot_study(table, metric="accuracy").rows]
        [('a', 0.85)]
        >>> both = pd.concat([table, table.assign(arm="b", accuracy=[0.7, 0.75])])
        >>> [(row["arm"], row["value"]) for row in plot_study(both, metric="accuracy", against="a").rows]
        [('b', '-12.50 points')]
    """
    read = _read(study, metric)
    columns = {measure.column: measure.label for measure in read.measures}
    if not columns:
        raise UserError(
            "plot_study(study): no arm has a validation or test value yet. Run the study first, or give a table with "
            "values. If it was run, its module logs no metric that is known by its name: log one in `validation_step`, "
            "and name it with Ablation(metric='...')."
        )
    column = metric if metric in columns else next(iter(columns))
    if metric is not None and column != metric and not isinstance(study, pd.DataFrame):
        raise UserError(f"plot_study(metric={metric!r}) was not measured.{suggest(metric, list(columns))}")
    label = columns[column]
    spec = alone(draw_over_density(read, label) if against is None else _differences(read, label, against))
    rows = [row for row in spec["datasets"]["rows"] if row["measure"] == label]
    return Plot({**spec, "datasets": {"rows": [row for row in rows if row.get("reference") in (None, against)]}})


def _differences(read: Study, label: str, against: str) -> Picture:
    arms = read.measured_arms
    if against not in arms or len(arms) < 2:
        raise UserError(
            f"plot_study(against={against!r}) needs an arm with results, and another arm. With results: "
            f"{', '.join(arms)}.{suggest(against, arms)}"
        )
    return draw_differences(read, label, against)


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
