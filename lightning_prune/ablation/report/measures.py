"""List the measured columns of a study's table, under the names that the user gave the metrics."""

import math
from dataclasses import dataclass

import pandas as pd

from lightning_prune.lab.metric_names import is_fraction


@dataclass(frozen=True)
class Measure:
    """A column of the table, as the page shows it."""

    column: str
    """Its name in the table."""
    label: str
    """Its name in words."""

    @property
    def range(self) -> tuple[float, float]:
        """The range of its values. A fraction lies in [0, 1]. Other ranges are not known, and given as infinite."""
        return (0.0, 1.0) if is_fraction(self.label) else (-math.inf, math.inf)


def measures_of(table: pd.DataFrame, metric: str, test_metric: str | None) -> list[Measure]:
    """List the measured columns, test before validation.

    Args:
        table: The tidy table of a study.
        metric: The metric by which the study is judged, such as ``val/accuracy``.
        test_metric: The same metric on test data. None if nothing was tested.

    Returns:
        One measure per column that holds a number.

    Example:
        >>> table = pd.DataFrame({"val_last": [0.9], "val_best": [None], "loss_last": [0.2]})
        >>> [measure.label for measure in measures_of(table, "val/accuracy", None)]
        ['val/accuracy, last epoch', 'validation loss, last epoch']
    """
    test = test_metric or "test"
    every = [
        Measure("test_last", f"{test}, last epoch"),
        Measure("test_best", f"{test}, best epoch"),
        Measure("val_last", f"{metric}, last epoch"),
        Measure("val_best", f"{metric}, best epoch"),
    ]
    if "loss" not in metric:
        every.append(Measure("loss_last", "validation loss, last epoch"))
    return [measure for measure in every if measure.column in table and table[measure.column].notna().any()]
