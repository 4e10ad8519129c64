"""Find the peaks within half a point of the best one, at each density (the Oracle)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

WITHIN = 0.005


@dataclass(frozen=True)
class Peaks:
    """The peaks that were tried in a cycle.

    Args:
        cycle: The cycle.
        density: Its density.
        tried: The peaks, rising.
        scores: The mean validation accuracy of each, over seeds.
        best: The best of them.
        low: The smallest one of those around the best that are within half a point of it.
        high: The largest.
        silo: The peak of SILO in that cycle; NaN where that failed.
    """

    cycle: int
    density: float
    tried: tuple[float, ...]
    scores: tuple[float, ...]
    best: float
    low: float
    high: float
    silo: float

    @property
    def hit(self) -> bool:
        """Whether SILO's peak lies in the interval; no where there is none."""
        return self.low <= self.silo <= self.high


def peaks_of(table: pd.DataFrame, arm: str = "Oracle", judged: str = "SILO") -> list[Peaks]:
    """Read what a search tried, cycle by cycle.

    In every cycle the peaks are tried from the same pruned network, the one that was best before. An interval reaches
    from the best peak to both sides for as long as peaks are within half a point of it.

    Args:
        table: The table of the study.
        arm: The arm that searches.
        judged: The arm whose peaks are compared.
    """
    found = []
    for cycle, rows in table[(table["arm"] == arm) & table["tried"].notna()].groupby("cycle"):
        tried, scores = _means([json.loads(text) for text in rows["tried"]])
        low, high = _around(scores)
        own = table[(table["arm"] == judged) & (table["cycle"] == cycle)]
        found.append(
            Peaks(
                cycle=int(cycle),
                density=float(rows["density"].mean()),
                tried=tuple(tried.tolist()),
                scores=tuple(scores.tolist()),
                best=float(tried[scores.argmax()]),
                low=float(tried[low]),
                high=float(tried[high]),
                silo=float(own["peak_lr"].mean()),
            )
        )
    return found


def _means(said: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The peaks, rising, and the mean score of each; a peak that failed with one of the seeds is left out."""
    seeds = [dict(zip(one["values"], one["scores"], strict=True)) for one in said]
    means = pd.DataFrame(seeds, dtype=float).mean(skipna=False).dropna().sort_index()
    return means.index.to_numpy(float), means.to_numpy()


def _around(scores: np.ndarray) -> tuple[int, int]:
    low = high = int(scores.argmax())
    enough = scores.max() - WITHIN
    while low > 0 and scores[low - 1] >= enough:
        low -= 1
    while high < len(scores) - 1 and scores[high + 1] >= enough:
        high += 1
    return low, high
