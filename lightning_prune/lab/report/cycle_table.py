"""Make the tables of runs: a row per cycle, a row per tensor left out, and a row per density of several runs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL
from lightning_prune.lab.metric_names import Columns, lower_is_better
from lightning_prune.lab.report.logged_run import Run

SIGNS = (SIGNS_FROM_INITIAL, SIGNS_FROM_BEFORE)
LAST = {
    "density": "pruning/density",
    "sparsity": "pruning/sparsity",
    "model_density": "pruning/model_density",
    **{name: f"pruning/{name}" for name in SIGNS},
}


def cycle_table(run: Run, columns: Columns) -> pd.DataFrame:
    """Summarize every cycle. The dense training is cycle 0.

    A row of metrics.csv belongs to the cycle in which its step was taken. Values that a cycle did not measure are
    missing.

    Args:
        run: The run.
        columns: The logged columns to show.

    Returns:
        One row per cycle that began. Densities, losses, the metric and the shares of changed signs are the last
        values of the cycle. ``best`` is the best value of the metric. Learning rates are the range in the cycle.
        Seconds are summed.
    """
    rows = run.rows.select_dtypes("number")
    cycles = rows.groupby(run.cycles_of(rows["step"]))
    table = _when(run).join(pd.DataFrame({"first_epoch": cycles["epoch"].min(), "last_epoch": cycles["epoch"].max()}))
    table["epochs"] = cycles["epoch"].nunique()
    for name, column in {**LAST, **{name: name for name in columns.logged()}}.items():
        table[name] = cycles[column].last() if column in rows else None
    if columns.metric is not None:
        values = cycles[columns.metric]
        table["best"] = values.min() if lower_is_better(columns.metric) else values.max()
    table["lr_min"] = cycles["pruning/lr_min"].min() if "pruning/lr_min" in rows else None
    table["lr_max"] = cycles["pruning/lr_max"].max() if "pruning/lr_max" in rows else None
    table["seconds"] = cycles["pruning/seconds"].sum(min_count=1) if "pruning/seconds" in rows else None
    whole = dict.fromkeys(("first_epoch", "last_epoch", "epochs"), "Int64")
    return _fill_densities(table, run).astype(whole).reset_index()


def _when(run: Run) -> pd.DataFrame:
    """The steps of every cycle. A dense training of no steps is left out."""
    starts = pd.Series(run.first_steps, dtype=int).rename_axis("cycle")
    ends = starts.shift(-1, fill_value=max(run.steps, int(starts.iloc[-1]))).astype(int)
    begun = np.flatnonzero((ends > starts) | (starts.index == starts.index[-1]))
    steps = pd.DataFrame({"first_step": starts, "last_step": ends - 1})
    return steps.iloc[begun]


def _fill_densities(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Take densities from the record for a cycle in which no epoch ended, which did not log them."""
    if run.record is None:
        return table
    alive = pd.Series({entry["cycle"]: sum(entry["alive"].values()) for entry in run.record["cycles"]}, dtype=float)
    prunable = sum(tensor["weights"] for tensor in run.record["pruned"])
    alive[0] = float(prunable)
    known = {"density": alive / max(prunable, 1)}
    known["sparsity"] = 1 - known["density"]
    if "model_weights" in run.record:
        known["model_density"] = 1 - (prunable - alive) / max(run.record["model_weights"], 1)
    filled = {name: table[name].astype(float).fillna(values) for name, values in known.items()}
    return table.assign(**filled)


def skipped_table(run: Run) -> pd.DataFrame:
    """List every tensor that is not pruned: its name, its number of weights and the reason."""
    skipped = [] if run.record is None else run.record["skipped"]
    return pd.DataFrame(skipped, columns=["name", "weights", "reason"])


def layer_table(run: Run) -> pd.DataFrame:
    """Collect the density of every pruned tensor.

    Returns:
        One row per tensor, one column per cycle. Empty if nothing was pruned yet.
    """
    if run.record is not None:
        weights = pd.Series({tensor["name"]: tensor["weights"] for tensor in run.record["pruned"]}, dtype=float)
        alive = {entry["cycle"]: pd.Series(entry["alive"], dtype=float) for entry in run.record["cycles"]}
        return pd.DataFrame({cycle: count / weights for cycle, count in alive.items()}, index=weights.index)
    prefix = "pruning/density/"
    logged = run.rows.filter(like=prefix).dropna(how="all")
    cycles = [index for index in run.first_steps if index > 0][: len(logged)]
    layers = logged.iloc[: len(cycles)].set_axis(cycles).T
    return layers.set_axis([str(name).removeprefix(prefix) for name in layers.index])


def comparison_table(curves: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Set several runs side by side.

    Densities that agree to three digits share a row. They can differ in later digits, because runs count whole weights.

    Args:
        curves: Name of the run -> its metric over the density.

    Returns:
        One row per density, from dense to sparse, one column per run.
    """
    columns = {name: curve.groupby(curve.index.map(_three_digits)).last() for name, curve in curves.items()}
    return pd.DataFrame(columns).sort_index(ascending=False).rename_axis("density")


def _three_digits(density: float) -> float:
    return float(f"{density:.3g}")
