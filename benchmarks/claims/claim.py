"""Describe a claim of a paper, and tell the arms of a grid apart by their names."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from benchmarks.claims.contrasts import Contrast


@dataclass(frozen=True)
class Claim:
    """A claim of a paper and its measurement.

    Args:
        number: Its number, from 1.
        title: A few words.
        says: The claim in one sentence.
        source: Where it was made, in Markdown.
        topic: The first part of the names of its studies; ``rewinding`` for ``rewinding_resnet8``.
        ask: A function from the table of a study to the comparisons that decide.
        advice: Advice for each outcome: ``for``, ``against``, ``mixed`` and ``undecided``.
        limits: Limits of the measurement.
    """

    number: int
    title: str
    says: str
    source: str
    topic: str
    ask: Callable[[pd.DataFrame], list[Contrast]]
    advice: Mapping[str, str]
    limits: Sequence[str] = field(default=())


def values_of(table: pd.DataFrame, key: str) -> list[str]:
    """The values of a grid's key, read from the names of the arms.

    Example:
        >>> values_of(pd.DataFrame({"arm": ["silo lr=0.1", "silo lr=0.03", "clr lr=0.1"]}), "lr")
        ['0.1', '0.03']
    """
    found = [re.search(rf" {re.escape(key)}=(\S+)", arm) for arm in table["arm"].drop_duplicates()]
    return list(dict.fromkeys(one[1] for one in found if one is not None))


def dense_epochs(table: pd.DataFrame) -> int:
    """The length of a study's dense run, in epochs."""
    return int(table.loc[table["cycle"] == 0, "epochs"].iloc[0])


def budgets_of(table: pd.DataFrame) -> dict[str, str]:
    """The lengths of retraining in a study, and the part of the dense run that each takes.

    Example:
        >>> table = pd.DataFrame({"arm": ["silo retrain=4ep"], "cycle": [0], "epochs": [40]})
        >>> budgets_of(table)
        {'4ep': '10 %'}
    """
    dense = dense_epochs(table)
    return {one: _percent(int(one.removesuffix("ep")) / dense) for one in values_of(table, "retrain")}


def densities_of(table: pd.DataFrame) -> dict[str, str]:
    """The sparsities of a study's one-shot arms, and the density that each leaves.

    Example:
        >>> densities_of(pd.DataFrame({"arm": ["silo sparsity.final=0.95"]}))
        {'0.95': '5 % left'}
    """
    return {one: f"{_percent(1 - float(one))} left" for one in values_of(table, "sparsity.final")}


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"
