"""Compare the soups of a study with their best copies and with ensembles of their copies, in one table."""

import json

import pandas as pd

COLUMNS = ("arm", "cycle", "density", "seeds", "members", "soup", "best_copy", "ensemble")


def soups(table: pd.DataFrame, metric: str = "test_last") -> pd.DataFrame:
    """Take the means over seeds of soups, of their best copies by validation, and of ensembles of all copies.

    An arm with as many times the retraining is another arm of the study, and stands in its own table.

    Args:
        table: The tidy table of a study.
        metric: ``"test_last"``, or ``"val_last"`` for the validation data, by which soups and best copies choose.

    Returns:
        One row for each arm with a soup and each cycle. ``members`` is the mean number of copies in the soup. A value
        that was not measured is NaN. An ensemble is measured if the steps of the module call ``self(inputs)``, which
        returns logits, and its batches are (inputs, labels).

    Example:
        >>> told = {"mixed": [1, 0], "best": 0.8, "best_test": 0.7, "ensemble": 0.9, "ensemble_test": 0.8}
        >>> row = {"arm": "soup", "seed": 0, "cycle": 1, "density": 0.5, "test_last": 0.75}
        >>> found = soups(pd.DataFrame([{**row, "tried": json.dumps({"soup": told})}]))
        >>> found[["members", "soup", "best_copy", "ensemble"]].values.tolist()
        [[2.0, 0.75, 0.7, 0.8]]
    """
    suffix = "" if metric.startswith("val") else "_test"
    rows = []
    for row in table.to_dict("records"):
        told = json.loads(row["tried"]).get("soup") if isinstance(row.get("tried"), str) else None
        if told is not None:
            rows.append(
                {
                    **{name: row[name] for name in ("arm", "cycle", "density", "seed")},
                    "members": len(told["mixed"]),
                    "soup": row.get(metric),
                    "best_copy": told.get(f"best{suffix}"),
                    "ensemble": told.get(f"ensemble{suffix}"),
                }
            )
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    frame = pd.DataFrame(rows).astype(dict.fromkeys(("soup", "best_copy", "ensemble"), float))
    grouped = frame.groupby(["arm", "cycle"], sort=False)
    means = grouped[["density", "members", "soup", "best_copy", "ensemble"]].mean()
    return means.assign(seeds=grouped["seed"].nunique()).reset_index()[list(COLUMNS)]
