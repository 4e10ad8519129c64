"""What decides each claim: from the table of a study to the comparisons between its arms."""

import math

import pandas as pd

from benchmarks.claims.claim import budgets_of, densities_of
from benchmarks.claims.contrasts import Contrast, Term, over

UNPRUNED = "LR rewinding, unpruned"
REWINDERS = ("LR rewinding", "weight rewinding")
RESTARTS = ("linear restart", "adaptive linear restart")
STEPWISE = ("fine-tuning", "LR rewinding", "scaled restart")
REWOUND = ("0 %", "2 %", "5 %", "10 %")


def of_rewinding(table: pd.DataFrame) -> list[Contrast]:
    """Both rewinders against fine-tuning, in one step and in several, and whether several widen the gap.

    Beside it, how much of LR rewinding is longer training: the same with nothing pruned, over the dense network.
    """
    found = [
        over(one, "fine-tuning", how, f"{{}}, {how}") for one in REWINDERS for how in ("one-shot", "iterative")
    ]  # fmt: skip
    for one in REWINDERS:
        plus = (Term(f"{one}, iterative"), Term("fine-tuning, one-shot"))
        minus = (Term("fine-tuning, iterative"), Term(f"{one}, one-shot"))
        found.append(Contrast(f"{one} over fine-tuning", "iterative, more than one-shot", plus, minus))
    known, unpruned = (
        table.loc[table["arm"] == UNPRUNED, "cycle"],
        "LR rewinding, nothing pruned, over the dense network",
    )
    for how, cycle in (("one-shot", 1), ("iterative", int(known.max()))) if len(known) else ():
        found.append(Contrast(unpruned, how, (Term(UNPRUNED, cycle),), (Term(UNPRUNED, 0),), counts=False))
    return found


def of_cyclic(table: pd.DataFrame) -> list[Contrast]:
    """The cyclic restart against those that step, at budgets up to a tenth; and what its momentum does."""
    found = []
    for budget, named in budgets_of(table).items():
        among, short = f"{{}} retrain={budget}", float(named.split()[0]) <= 10
        found += [over("cyclic restart", other, named, among, counts=short) for other in STEPWISE]
        found.append(over("cyclic restart", "cyclic restart, momentum kept", named, among, counts=False))
    return found


def of_random(table: pd.DataFrame) -> list[Contrast]:
    """Random weights pruned and a large rate, against small weights pruned and a small rate or a large one."""
    found = []
    for sparsity, named in densities_of(table).items():
        among, better = f"{{}} sparsity.final={sparsity}", "random, cyclic restart"
        found.append(over(better, "magnitude, fine-tuning", named, among))
        found.append(over(better, "magnitude, cyclic restart", named, among, counts=False))
    return found


def of_silo(table: pd.DataFrame) -> list[Contrast]:
    """SILO against every other peak, where its S has begun to grow; each place with the peak it has there."""
    left = table.groupby("cycle")["density"].mean()
    peak = table[table["arm"] == "SILO"].groupby("cycle")["peak_lr"].mean()
    return [
        Contrast(f"SILO over {other}", f"{100 * left[cycle]:.3g} % left, SILO at {peak.get(cycle, math.nan):.3g}",
                 (Term("SILO", cycle),), (Term(other, cycle),), counts=other != "Oracle")
        for other in ("low peak", "high peak", "reversed S", "Oracle")
        for cycle in (2, 3, 4)
    ]  # fmt: skip


def of_tickets(table: pd.DataFrame) -> list[Contrast]:
    """Rewound weights against fresh ones under the same masks; and rewound late against rewound to the start."""
    known = set(table["arm"])
    found = []
    for sparsity, named in densities_of(table).items():
        among = f"{{}} sparsity.final={sparsity}"
        points = [f"rewound to {one}" for one in REWOUND if among.format(f"rewound to {one}") in known]
        found += [over(point, "drawn anew", named, among) for point in points]
        found += [over(point, "rewound to 0 %", named, among, counts=False) for point in points[1:]]
    return found


def of_wide(table: pd.DataFrame) -> list[Contrast]:
    """The full restart against weight rewinding, and each against the dense network."""
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
    """Both linear restarts against the others, at every budget; and the adaptive one against the plain one."""
    found = []
    for budget, named in budgets_of(table).items():
        among = f"{{}} retrain={budget}"
        found += [over(one, other, named, among) for one in RESTARTS for other in (*STEPWISE, "cyclic restart")]
        found.append(over("adaptive linear restart", "linear restart", named, among, counts=False))
    return found


def of_scratch(table: pd.DataFrame) -> list[Contrast]:
    """Trained from scratch against fine-tuned."""
    scratch = ("Scratch-E", "Scratch-B")
    densities = densities_of(table)
    if not densities:
        return [over(one, "fine-tuning", "50 % left, in whole filters") for one in scratch]
    return [
        over(one, "fine-tuning", named, f"{{}} sparsity.final={sparsity}")
        for one in scratch
        for sparsity, named in densities.items()
    ]
