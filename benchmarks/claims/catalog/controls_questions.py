"""Choose the comparisons that decide claims 9 to 15, from the table of a study."""

import pandas as pd

from benchmarks.claims.beside import ENSEMBLE
from benchmarks.claims.claim import densities_of, values_of
from benchmarks.claims.contrasts import Contrast, Term, over
from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE

AMONG = "{{}} sparsity.final={}"
REPAIRS = ("rescaled", "scale", "blocks", "adapters", "Wanda", "SparseGPT")


def of_signs(table: pd.DataFrame) -> list[Contrast]:
    """Compare fresh magnitudes with the trained signs with fresh weights, under the same masks."""
    found = []
    for sparsity, named in densities_of(table).items():
        among = AMONG.format(sparsity)
        found.append(over("signs kept", "drawn anew", named, among))
        found += [over(one, "signs kept", named, among, counts=False) for one in ("initial weights", "weights kept")]
    return found


def of_repeating(table: pd.DataFrame) -> list[Contrast]:
    """Compare repeated training of one mask with one pass, and iterative pruning with the repeated training."""
    repeated = "one mask, repeated"
    found = []
    for sparsity, named in densities_of(table).items():
        among = AMONG.format(sparsity)
        found += [over(repeated, "one mask, one pass", named, among), over("iterative", repeated, named, among)]
        beside = (("one mask, stretched", "one mask, one pass"), ("iterative", "one mask, stretched"))
        found += [over(one, other, named, among, counts=False) for one, other in (*beside, ("SCULPT", "iterative"))]
    return found


def of_soups(table: pd.DataFrame) -> list[Contrast]:
    """Compare the greedy soup with its best copy and with longer training, cycle by cycle."""
    left = table.groupby("cycle")["density"].mean()
    longer, best = "three times the training", "best copy"
    pairs = (("greedy soup", best, True), ("greedy soup", longer, True), ("uniform soup", "greedy soup", False))
    cycles = sorted(left.index)[-3:]
    found = [
        _at(one, other, cycle, left, counts)
        for one, other, counts in (*pairs, ("greedy soup", "one copy", False), (longer, "one copy", False))
        for cycle in cycles
    ]
    for cycle in cycles if ENSEMBLE in table else ():
        terms = (Term("greedy soup", cycle),), (Term("greedy soup", cycle, ENSEMBLE),)
        found.append(
            Contrast("greedy soup over the ensemble of its copies", _column(left, cycle), *terms, counts=False)
        )
    return found


def of_flips(table: pd.DataFrame) -> list[Contrast]:
    """Compare LR rewinding with weight rewinding, and what each loses when signs are flipped."""
    kept, back = "LR rewinding", "weight rewinding"
    left = table.groupby("cycle")["density"].mean()
    found = []
    for cycle in sorted(left.index)[-3:]:
        flipped = {one: Term(f"{one}, flipped", cycle) for one in (kept, back)}
        plain = {one: Term(one, cycle) for one in (kept, back)}
        found.append(_at(kept, back, cycle, left))
        plus, minus = (flipped[kept], plain[back]), (plain[kept], flipped[back])
        found.append(Contrast(f"{kept} over {back} in what flips change", _column(left, cycle), plus, minus))
        found += [_at(f"{one}, flipped", one, cycle, left, counts=False) for one in (kept, back)]
        if SIGNS_FROM_BEFORE in table:
            terms = (Term(kept, cycle, SIGNS_FROM_BEFORE),), (Term(back, cycle, SIGNS_FROM_BEFORE),)
            row = f"per cent of signs that a cycle changes: {kept} over {back}"
            found.append(Contrast(row, _column(left, cycle), *terms, counts=False))
    return found


def of_regrowth(table: pd.DataFrame) -> list[Contrast]:
    """Compare networks in which weights grow again with iterative pruning."""
    found = []
    for sparsity, named in densities_of(table).items():
        among = AMONG.format(sparsity)
        found += [over(one, "iterative", named, among) for one in ("RigL", "AC/DC")]
        beside = (("SET", "iterative"), ("RigL", "SET"), ("one-shot", "iterative"))
        found += [over(one, other, named, among, counts=False) for one, other in beside]
    return found


def of_levels(table: pd.DataFrame) -> list[Contrast]:
    """Compare tickets with fresh weights under their masks, level by level."""
    left = table.groupby("cycle")["density"].mean()
    pairs = (("ticket", "drawn anew", True), ("drawn anew", "drawn anew, shuffled in layers", False))
    cycles = sorted(cycle for cycle in left.index if cycle > 0)
    return [_at(one, other, cycle, left, counts) for one, other, counts in pairs for cycle in cycles]


def of_repairs(table: pd.DataFrame) -> list[Contrast]:
    """Compare least squares with no repair, and with BatchNorm alone where there is one, at every budget."""
    known, found = set(table["arm"]), []
    densities = densities_of(table) or {"": ""}
    for sparsity, left in densities.items():
        for budget in values_of(table, "retrain"):
            among = "{}" + (f" sparsity.final={sparsity}" if sparsity else "") + f" retrain={budget}"
            column = ", ".join(part for part in (left, _budget(budget)) if part)
            plain = next(one for one in ("BatchNorm", "nothing") if among.format(one) in known)
            found += [over("least squares", one, column, among) for one in dict.fromkeys((plain, "nothing"))]
            others = [one for one in REPAIRS if among.format(one) in known]
            found += [over(one, plain, column, among, counts=False) for one in others]
            if among.format("BatchNorm") in known:
                found.append(over("BatchNorm", "nothing", column, among, counts=False))
    if "LR rewinding, unpruned" in known:
        terms = (Term("LR rewinding, unpruned", 1),), (Term("LR rewinding, unpruned", 0),)
        found.append(Contrast("LR rewinding without pruning, over the dense network", "", *terms, counts=False))
    return found


def _budget(budget: str) -> str:
    number = int("".join(one for one in budget if one.isdigit()))
    unit = "epochs" if budget.endswith("ep") else "steps"
    return f"{number} {unit}" if number else "not retrained"


def _at(one: str, other: str, cycle: int, left: pd.Series, counts: bool = True) -> Contrast:
    terms = (Term(one, cycle),), (Term(other, cycle),)
    return Contrast(f"{one} over {other}", _column(left, cycle), *terms, counts)


def _column(left: pd.Series, cycle: int) -> str:
    return f"{100 * left[cycle]:.3g} % left"
