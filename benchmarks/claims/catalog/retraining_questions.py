"""Choose the comparisons that decide claims 1 to 8, from the table of a study."""

import math
from collections.abc import Sequence

import pandas as pd

from benchmarks.claims.claim import budgets_of, densities_of
from benchmarks.claims.contrasts import Contrast, Term, over

REWINDERS = ("LR rewinding", "weight rewinding")
RESTARTS = ("linear restart", "adaptive linear restart")
STEPWISE = ("fine-tuning", "LR rewinding", "scaled restart")
UNPRUNED = ", unpruned"  # ends the name of an arm that is trained in the same way with nothing pruned
REWOUND = ("0 %", "2 %", "5 %", "10 %")


def of_rewinding(table: pd.DataFrame) -> list[Contrast]:
    """Compare both kinds of rewinding with fine-tuning, after one prune and after several cycles.

    Rows that do not count say how much of an arm is longer training: the same epochs with nothing pruned, over the
    dense network.
    """
    found = [
        over(one, "fine-tuning", how, f"{{}}, {how}") for one in REWINDERS for how in ("one-shot", "iterative")
    ]  # fmt: skip
    for one in REWINDERS:
        plus = (Term(f"{one}, iterative"), Term("fine-tuning, one-shot"))
        minus = (Term("fine-tuning, iterative"), Term(f"{one}, one-shot"))
        found.append(Contrast(f"{one} over fine-tuning", "iterative minus one-shot", plus, minus))
    for one in (*REWINDERS, "fine-tuning"):
        cycles = table.loc[table["arm"] == f"{one}{UNPRUNED}", "cycle"]
        for how, cycle in (("one-shot", 1), ("iterative", int(cycles.max()))) if len(cycles) else ():
            found.append(_unpruned(one, f"{one}{UNPRUNED}", how, cycle))
    return found


def of_cyclic(table: pd.DataFrame) -> list[Contrast]:
    """Compare the cyclic restart with stepwise schedules at budgets up to 10 %, and with a constant momentum."""
    found = []
    for budget, named in budgets_of(table).items():
        among, short = f"{{}} retrain={budget}", float(named.split()[0]) <= 10
        found += [over("cyclic restart", other, named, among, counts=short) for other in STEPWISE]
        found.append(over("cyclic restart", "cyclic restart, momentum kept", named, among, counts=False))
    return [*found, *_unpruned_of_budgets(("cyclic restart", "cyclic restart, momentum kept", *STEPWISE), table)]


def _unpruned_of_budgets(arms: Sequence[str], table: pd.DataFrame) -> list[Contrast]:
    """What every arm gains with nothing pruned, where the study has such arms."""
    known, places = set(table["arm"]), budgets_of(table).items()
    asked = [(one, f"{one}{UNPRUNED} retrain={budget}", named, 1) for one in arms for budget, named in places]
    return [_unpruned(*one) for one in asked if one[1] in known]


def _unpruned(named: str, arm: str, column: str, cycle: int) -> Contrast:
    terms = (Term(arm, cycle),), (Term(arm, 0),)
    return Contrast(f"{named} without pruning, over the dense network", column, *terms, counts=False)


def of_random(table: pd.DataFrame) -> list[Contrast]:
    """Compare random pruning at a large rate with magnitude pruning at a small rate and at a large one."""
    found = []
    for sparsity, named in densities_of(table).items():
        among, better = f"{{}} sparsity.final={sparsity}", "random, cyclic restart"
        found.append(over(better, "magnitude, fine-tuning", named, among))
        found.append(over(better, "magnitude, cyclic restart", named, among, counts=False))
    return found


def of_silo(table: pd.DataFrame) -> list[Contrast]:
    """Compare SILO with every other peak, at the densities where its S has begun to grow.

    Rows that do not count compare the same peaks with nothing pruned: they say what this network likes anyway.
    """
    known, left = set(table["arm"]), table.groupby("cycle")["density"].min()
    peak = table[table["arm"] == "SILO"].groupby("cycle")["peak_lr"].mean()
    places = {cycle: f"{100 * left[cycle]:.3g} % left, SILO at {peak.get(cycle, math.nan):.3g}" for cycle in (2, 3, 4)}
    found = [
        Contrast(f"SILO over {other}", place, (Term("SILO", cycle),), (Term(other, cycle),), counts=other != "Oracle")
        for other in ("low peak", "high peak", "reversed S", "Oracle")
        if other in known
        for cycle, place in places.items()
    ]
    for other in ("low peak", "high peak", "reversed S"):
        one, two = f"SILO{UNPRUNED}", f"{other}{UNPRUNED}"
        if {one, two} <= known:
            row = f"the same peaks without pruning, SILO's over those of the {other}"
            found += [
                Contrast(row, place, (Term(one, cycle),), (Term(two, cycle),), counts=False)
                for cycle, place in places.items()
            ]
    return found


def of_tickets(table: pd.DataFrame) -> list[Contrast]:
    """Compare rewound weights with fresh ones under the same masks, and late rewinding with rewinding to the start."""
    known = set(table["arm"])
    found = []
    for sparsity, named in densities_of(table).items():
        among = f"{{}} sparsity.final={sparsity}"
        points = [f"rewound to {one}" for one in REWOUND if among.format(f"rewound to {one}") in known]
        found += [over(point, "drawn anew", named, among) for point in points]
        found += [over(point, "rewound to 0 %", named, among, counts=False) for point in points[1:]]
    return found


def of_wide(table: pd.DataFrame) -> list[Contrast]:
    """Compare the full restart with weight rewinding, and each with the dense network."""
    left = table.groupby("cycle")["density"].mean()
    found = []
    for cycle in sorted(one for one in left.index if one > 0):
        column = f"{100 * left[cycle]:.3g} % left"
        better, other = "weight rewinding", "full restart"
        found.append(Contrast(f"{better} over {other}", column, (Term(better, cycle),), (Term(other, cycle),)))
        found.append(Contrast(f"the dense network over {other}", column, (Term(other, 0),), (Term(other, cycle),)))
        terms = (Term(better, cycle),), (Term(better, 0),)
        found.append(Contrast(f"{better} over the dense network", column, *terms, counts=False))
    return found


def of_linear(table: pd.DataFrame) -> list[Contrast]:
    """Compare both linear restarts with the other schedules and with each other, at every budget."""
    found = []
    for budget, named in budgets_of(table).items():
        among = f"{{}} retrain={budget}"
        found += [over(one, other, named, among) for one in RESTARTS for other in (*STEPWISE, "cyclic restart")]
        found.append(over("adaptive linear restart", "linear restart", named, among, counts=False))
    return [*found, *_unpruned_of_budgets(RESTARTS, table)]


def of_scratch(table: pd.DataFrame) -> list[Contrast]:
    """Compare training from scratch with fine-tuning."""
    scratch = ("Scratch-E", "Scratch-B")
    densities = densities_of(table)
    if not densities:
        return [over(one, "fine-tuning", "50 % left, in whole filters") for one in scratch]
    return [
        over(one, "fine-tuning", named, f"{{}} sparsity.final={sparsity}")
        for one in scratch
        for sparsity, named in densities.items()
    ]
