"""What a run amounts to: one row per cycle, one row per tensor left out, one row per density of several runs."""

from collections.abc import Sequence

import pandas as pd

from lightning_prune.lab.report.names import Columns, lower_is_better
from lightning_prune.lab.report.reading import CYCLE, Run

LAST = {
    "density": "pruning/density",
    "sparsity": "pruning/sparsity",
    "model_density": "pruning/model_density",
}


def cycle_table(run: Run, columns: Columns) -> pd.DataFrame:
    """Summarise every cycle, the dense training being cycle 0.

    Args:
        run: What was read.
        columns: Which logged columns to show.

    Returns:
        One row per cycle. Densities, losses and the metric are those of the cycle's last epoch; ``best`` is the best
        that the metric was in the cycle; learning rates span the cycle; seconds are summed.
    """
    cycles = run.epochs.reset_index().groupby(CYCLE)
    last = cycles.last()
    table = pd.DataFrame({"first_epoch": cycles["epoch"].min(), "last_epoch": cycles["epoch"].max()})
    table["epochs"] = cycles["epoch"].nunique()
    for name, column in {**LAST, **{name: name for name in columns.logged()}}.items():
        table[name] = last.get(column)
    if columns.metric is not None:
        values = cycles[columns.metric]
        table["best"] = values.min() if lower_is_better(columns.metric) else values.max()
    table["lr_min"] = cycles["pruning/lr_min"].min() if "pruning/lr_min" in last else None
    table["lr_max"] = cycles["pruning/lr_max"].max() if "pruning/lr_max" in last else None
    table["seconds"] = cycles["pruning/seconds"].sum() if "pruning/seconds" in last else None
    return table.rename_axis("cycle").reset_index()


def results_of_testing(run: Run) -> dict[str, float]:
    """Collect the last value of everything that was logged while testing."""
    logged = [name for name in run.rows if str(name).startswith("test")]
    return {str(name): float(run.rows[name].dropna().iloc[-1]) for name in logged if run.rows[name].notna().any()}


def skipped_table(run: Run) -> pd.DataFrame:
    """List every tensor that is not pruned: its name, its number of weights and the reason."""
    skipped = [] if run.record is None else run.record["skipped"]
    return pd.DataFrame(skipped, columns=["name", "weights", "reason"])


def layer_table(run: Run) -> pd.DataFrame:
    """Collect the density of every pruned tensor.

    Returns:
        One row per tensor, one column per cycle; empty if nothing was pruned yet.
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


def rate_curves(run: Run) -> dict[str, pd.Series]:
    """Collect the learning rate over the steps.

    Returns:
        The columns of a LearningRateMonitor, groups that always agree once; without one, the smallest and the largest
        rate of every epoch.
    """
    by_step = run.rows.groupby("step").last(numeric_only=True)
    names = [str(name) for name in by_step]
    monitored = [name for name in names if name.startswith("lr-") and not name.endswith(("-momentum", "-weight_decay"))]
    columns = monitored or [name for name in ("pruning/lr_max", "pruning/lr_min") if name in names]
    curves = {name: by_step[name].dropna() for name in columns}
    distinct: dict[str, pd.Series] = {}
    for name, curve in curves.items():
        if curve.size and not any(curve.equals(other) for other in distinct.values()):
            distinct[name] = curve
    return distinct


def comparison_table(tables: Sequence[pd.DataFrame], names: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Set several runs side by side.

    Densities that agree to three digits share a row: counts are whole numbers, so they differ in the last place.

    Args:
        tables: What :func:`cycle_table` made of each run.
        names: The runs' names, all different.
        metrics: The column of each table to compare.

    Returns:
        One row per density, from dense to sparse, one column per run.
    """
    columns = {
        name: table.assign(density=table["density"].map(_three_digits)).groupby("density")[metric].last()
        for table, name, metric in zip(tables, names, metrics, strict=True)
    }
    return pd.DataFrame(columns).sort_index(ascending=False).rename_axis("density")


def _three_digits(density: float) -> float:
    return float(f"{density:.3g}")
