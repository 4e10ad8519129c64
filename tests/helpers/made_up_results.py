"""Tables of studies that nobody trained: what a claim reads, with figures that a test knows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def table_of(accuracies: Mapping[tuple[str, int], Sequence[float | None]], **columns: Any) -> pd.DataFrame:
    """A row for each arm, cycle and seed; the accuracies of an arm and cycle stand in the order of the seeds."""
    rows = [
        {"arm": arm, "seed": seed, "cycle": cycle, "density": 0.5**cycle, "epochs": 40, "test_last": accuracy}
        for (arm, cycle), values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(node="none", seconds=1.0, **columns)
