"""Average pairs and seeds into the cells of a map, and find the best temperature of each density."""

from typing import Any

import pandas as pd

from lightning_prune.ablation.results.intervals import intervals
from lightning_prune.regimes.advice import advise, most_similar
from lightning_prune.regimes.measured import Measured

NUMBERS = ["lmc", "cka", "error", "val_error", "train_error"]


def cells_of(pairs: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Average the pairs of each seed, and then the seeds, and name the regime of each cell.

    Args:
        pairs: A row for each temperature, density, seed and pair.
        tolerance: The barrier that counts as none, at least 0.

    Returns:
        A row for each temperature and density, in the order of ``pairs``: the means, ``spread`` (the standard error of
        LMC over seeds), ``seeds``, ``regime`` and ``is_chosen``.
    """
    cell = ["temperature", "density"]
    seeds = pairs.groupby([*cell, "seed"], sort=False)[NUMBERS].mean().reset_index()
    grouped = seeds.groupby(cell, sort=False)
    found = grouped[NUMBERS].mean().reset_index()
    found["seeds"] = grouped["seed"].nunique().to_numpy()
    found["spread"] = (grouped["lmc"].std().fillna(0.0) / grouped["seed"].nunique().pow(0.5)).to_numpy()
    family = [measured_of(row) for row in found.to_dict("records")]
    found["regime"] = [advise(one, family, tolerance).regime for one in family]
    chosen = {density: most_similar(family, density, tolerance) for density in found["density"].unique()}
    found["is_chosen"] = [one is chosen[one.density] for one in family]
    return found


def measured_of(cell: dict[Any, Any]) -> Measured:
    """The measured values of a cell.

    Args:
        cell: A row of :func:`cells_of`, as a mapping.
    """
    error, train_error = (None if pd.isna(cell[name]) else float(cell[name]) for name in ("error", "train_error"))
    return Measured(
        float(cell["lmc"]), float(cell["cka"]), float(cell["density"]), cell["temperature"], error,
        float(cell["spread"]), train_error,
    )  # fmt: skip


def best_of(pairs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Find the best temperature of each density by the validation error, or by the test error where none was measured.

    Args:
        pairs: As for :func:`cells_of`.
        cells: What it returns.

    Returns:
        A row for each density: ``best``, ``chosen`` (by the rule), ``last`` (the last temperature as written), their
        test errors, and the mean difference of the error of the chosen one to the last one with its 95 % interval over
        seeds (``gain``, ``low``, ``high``: negative where the chosen one is better).
    """
    judged = "val_error" if cells["val_error"].notna().all() else "error"
    seeds = pairs.groupby(["temperature", "density", "seed"], sort=False)["error"].mean().reset_index()
    of_cell = {cell: group.set_index("seed")["error"] for cell, group in seeds.groupby(["temperature", "density"])}
    rows = []
    for density, group in cells.groupby("density", sort=False):
        last = group["temperature"].iloc[-1]
        best = min(group.to_dict("records"), key=lambda cell: cell[judged])["temperature"]
        chosen = group["temperature"][group["is_chosen"]].iloc[0]
        errors = dict(zip(group["temperature"], group["error"], strict=True))
        differences = of_cell[chosen, density] - of_cell[last, density]
        found = intervals(pd.DataFrame([differences.to_dict()])).iloc[0]
        rows.append(
            {"density": density, "best": best, "chosen": chosen, "last": last, "error_best": errors[best],
             "error_chosen": errors[chosen], "error_last": errors[last], "gain": found["mean"], "low": found["low"],
             "high": found["high"]}
        )  # fmt: skip
    return pd.DataFrame(rows)
