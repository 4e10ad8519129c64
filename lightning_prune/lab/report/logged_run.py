"""What a run left behind, as one value: its rows, its record, its rates and its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CYCLE = "pruning/cycle"


@dataclass(frozen=True)
class Run:
    """One run, as it was logged."""

    name: str
    """How tables and pictures call it."""
    folder: Path
    """Where metrics.csv lies."""
    rows: pd.DataFrame
    """metrics.csv without what is not of the fit: one row per call of a logger, most cells empty."""
    record: Mapping[str, Any] | None
    """pruning.json, if there is one."""
    rates: pd.DataFrame = field(default_factory=pd.DataFrame)
    """rates.csv, indexed by the step: a row wherever a rate changes; empty if there is none."""
    results: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """``test`` and ``validate`` -> one row per evaluation, if there was one."""

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per finished epoch: the last value of every column, and the epoch's cycle as an integer."""
        named = self.rows.dropna(subset=["epoch"])
        epochs = named.groupby(named["epoch"].astype(int)).last(numeric_only=True).dropna(subset=[CYCLE])
        return epochs.astype({CYCLE: int}).drop(columns="epoch", errors="ignore")

    @property
    def first_steps(self) -> dict[int, int]:
        """The optimizer step that each cycle began with, cycle 0 being the dense training."""
        if self.record is not None:
            return {0: 0} | {entry["cycle"]: entry["first_step"] for entry in self.record["cycles"]}
        last_steps = self.epochs.groupby(CYCLE)["step"].max()
        return {int(cycle): 0 if cycle == 0 else int(last_steps.get(cycle - 1, -1)) + 1 for cycle in last_steps.index}

    @property
    def steps(self) -> int:
        """How many optimizer steps were taken, as far as they were logged."""
        return int(max([self.rows["step"].max(), *self.rates.index])) + 1

    @property
    def finished(self) -> bool | None:
        """Whether the run came to its end; ``None`` where it cannot be known."""
        return None if self.record is None else bool(self.record["finished"])

    def cycles_of(self, steps: pd.Series) -> pd.Series:
        """Tell in which cycle each optimizer step was taken.

        Args:
            steps: Steps, counted from 0.
        """
        starts = self.first_steps
        turns = np.searchsorted(list(starts.values()), steps.to_numpy(dtype=float), side="right") - 1
        return pd.Series(np.array(list(starts))[turns.clip(0)], index=steps.index, dtype=int)
