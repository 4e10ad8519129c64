"""Read what studies keep beside accuracies: the ensembles of soups, and how many signs a cycle changed."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.basics.file_names import RECORD, SIGNS_FROM_BEFORE

ENSEMBLE = "ensemble_test"


def ensembles(tried: pd.Series) -> pd.Series:
    """The test accuracy of the ensemble of a soup's copies, from the column ``tried``. NaN where there is no soup.

    Example:
        >>> ensembles(pd.Series(['{"soup": {"ensemble_test": 0.5}}', None])).tolist()
        [0.5, nan]
    """
    told = [json.loads(one).get("soup") or {} if isinstance(one, str) else {} for one in tried]
    return pd.Series([one.get(ENSEMBLE) for one in told], tried.index, dtype=float)


def changed_signs(frame: pd.DataFrame, study: Path) -> pd.Series:
    """The share of the living weights whose sign a cycle changed, if the run had ``SignChanges``. Else NaN.

    Args:
        frame: The table of a study whose nodes are still there: their records hold the shares.
        study: The folder of the study, from which the table's paths to checkpoints start.
    """
    return pd.Series([_of_row(row, study) for row in frame.to_dict("records")], frame.index, dtype=float)


def _of_row(row: dict[str, Any], study: Path) -> float | None:
    if not isinstance(row.get("checkpoint"), str):
        return None
    record = (study / row["checkpoint"]).parent / RECORD
    told = json.loads(record.read_text()).get("signs", []) if record.is_file() else []
    return next((one[SIGNS_FROM_BEFORE] for one in told if one["cycle"] == row["cycle"]), None)
