"""Take differences between arms within each seed, and say whether they are significant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from lightning_prune.ablation.results.intervals import by_seed, intervals
from lightning_prune.ablation.results.resolution import least_spread

Decided = Literal["for", "against", "undecided"]


@dataclass(frozen=True)
class Term:
    """An arm at a cycle.

    Args:
        arm: Its name in the study.
        cycle: The cycle. 0 is the dense run; None: its last cycle.
        metric: A column of the table, for something else than the accuracy of the arm itself.
    """

    arm: str
    cycle: int | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Contrast:
    """A difference that a claim expects to be above 0.

    Args:
        row: The two arms, ``"LR rewinding over fine-tuning"``.
        column: The place in the study, ``"one-shot"`` or ``"10 % left"``.
        plus: The terms that are added.
        minus: The terms that are subtracted.
        counts: Whether the difference counts for the verdict. If not, it is shown in italics.
    """

    row: str
    column: str
    plus: tuple[Term, ...]
    minus: tuple[Term, ...]
    counts: bool = True


@dataclass(frozen=True)
class Finding:
    """The measurement of a contrast.

    Args:
        contrast: The contrast.
        seeds: How many seeds have all its terms.
        difference: The mean over them, as a fraction.
        low: The lower end of its 95 % interval; NaN with fewer than two seeds.
        high: The upper end.
    """

    contrast: Contrast
    seeds: int
    difference: float
    low: float
    high: float

    @property
    def decided(self) -> Decided:
        """For the claim or against it if the interval does not contain 0, else undecided (not significant)."""
        if self.low > 0:
            return "for"
        return "against" if self.high < 0 else "undecided"


def over(better: str, other: str, column: str, among: str = "{}", counts: bool = True) -> Contrast:
    """The contrast of two arms.

    Args:
        better: The arm that the claim expects to be better.
        other: The other arm.
        column: Where.
        among: What their names are in the study, ``"{} retrain=1ep"``.
        counts: Whether it decides the claim.

    Example:
        >>> over("silo", "constant", "10 % left", "{} sparsity.final=0.9").plus
        (Term(arm='silo sparsity.final=0.9', cycle=None, metric=None),)
    """
    terms = ((Term(among.format(better)),), (Term(among.format(other)),))
    return Contrast(f"{better} over {other}", column, *terms, counts)


def measure(contrast: Contrast, table: pd.DataFrame, metric: str = "test_last") -> Finding:
    """Measure a contrast, paired by seed.

    Args:
        contrast: What to compare.
        table: The table of the study.
        metric: A measured column of it.

    Returns:
        The mean difference and its interval by Student's t; those of two arms are what ``Ablation.compare`` says.

    Example:
        >>> rows = {"seed": [0, 1, 2] * 2, "cycle": 1, "test_last": [0.92, 0.93, 0.91, 0.9, 0.9, 0.89]}
        >>> table = pd.DataFrame({"arm": ["silo"] * 3 + ["clr"] * 3, **rows})
        >>> found = measure(over("silo", "clr", "dense"), table)
        >>> round(found.difference, 3), found.decided
        (0.023, 'for')
    """
    total = _sum(contrast.plus, table, metric) - _sum(contrast.minus, table, metric)
    least = least_spread(table, metric, terms=len(contrast.plus) + len(contrast.minus))
    row = intervals(total.to_frame().T, least=least).iloc[0]
    return Finding(contrast, int(row["seeds"]), float(row["mean"]), float(row["low"]), float(row["high"]))


def missing(contrast: Contrast, table: pd.DataFrame) -> bool:
    """Whether an arm of a contrast has no result yet."""
    known = set(table.dropna(subset=["test_last"])["arm"])
    return any(term.arm not in known for term in (*contrast.plus, *contrast.minus))


def _sum(terms: Sequence[Term], table: pd.DataFrame, metric: str) -> pd.Series:
    parts = []
    for term in terms:
        values = by_seed(table, term.arm, term.metric or metric)
        parts.append(values.loc[values.index.max() if term.cycle is None else term.cycle])
    return sum(parts[1:], start=parts[0])
