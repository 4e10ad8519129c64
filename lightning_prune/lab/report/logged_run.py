"""Hold a run as one value: its rows, its record, its rates and its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CYCLE = "pruning/cycle"


@dataclass(frozen=True)
class Run:
    """A run, as it was logged."""

    name: str
    """The name of the run in tables and pictures."""
    folder: Path
    """The folder with metrics.csv."""
    rows: pd.DataFrame
    """The rows of metrics.csv that belong to the fit: one row per call of a logger, most cells empty."""
    record: Mapping[str, Any] | None
    """The content of pruning.json, if there is one."""
    rates: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The rows of rates.csv, indexed by the step. A row stands at each change of a rate. Empty without the file."""
    results: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """``test`` and ``validate`` -> one row per evaluation, if there was one."""

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per finished epoch, with the last value of every column, and the epoch's cycle as an integer."""
        named = self.rows.dropna(subset=["epoch"])
        epochs = named.groupby(named["epoch"].astype(int)).last(numeric_only=True).dropna(subset=[CYCLE])
        return epochs.astype({CYCLE: int}).drop(columns="epoch", errors="ignore")

    @property
    def first_steps(self) -> dict[int, int]:
        """The first optimizer step of each cycle. Cycle 0 is the dense training."""
        if self.record is not None:
            return {0: 0} | {entry["cycle"]: entry["first_step"] for entry in self.record["cycles"]}
        last_steps = self.epochs.groupby(CYCLE)["step"].max()
        return {int(cycle): 0 if cycle == 0 else int(last_steps.get(cycle - 1, -1)) + 1 for cycle in last_steps.index}

    @property
    def steps(self) -> int:
        """The number of optimizer steps, as far as they were logged."""
        return int(max([self.rows["step"].max(), *self.rates.index])) + 1

    @property
    def finished(self) -> bool | None:
        """Whether the run reached its end. ``None`` if this is not known."""
        return None if self.record is None else bool(self.record["finished"])

    def cycles_of(self, steps: pd.Series) -> pd.Series:
        """Find the cycle of each optimizer step.

        Args:
            steps: The steps, counted from 0.
        """
        starts = self.first_steps
        turns = np.searchsorted(list(starts.values()), steps.to_numpy(dtype=float), side="right") - 1
        return pd.Series(np.array(list(starts))[turns.clip(0)], index=steps.index, dtype=int)
