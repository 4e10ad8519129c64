"""Write the head of the report: the arms, the best arms, the undecided comparisons, the epochs saved, the failures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lightning_prune.ablation.report.measures import Measure
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.report.words import around, duration, listed, plural, shares
from lightning_prune.ablation.results.comparison import best, summary
from lightning_prune.ablation.results.intervals import UNDECIDED
from lightning_prune.lab.report.terminal import percent, score

UNEQUAL = 0.02  # The report mentions densities of one cycle that differ by a larger share.
FEW = 3  # The report warns of fewer seeds.
CHOOSING = ("val_last", "val_best", "test_last", "test_best", "loss_last")


@dataclass(frozen=True)
class Winner:
    """The best arm at one density, in words."""

    cycle: int
    density: str
    verdict: str
    arm: str
    value: str
    test: str
    rivals: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A number in large print, and the words for the things it counts."""

    number: str
    words: str


@dataclass(frozen=True)
class Head:
    """The head of a page: the result in a sentence, the numbers in large print, and the missing or unusual things."""

    lead: str
    figures: list[Figure]
    notes: list[str]


def head_of(study: Study) -> Head:
    """Write the head of a study's page."""
    return Head(lead(study), figures(study), notes(study))


def default_label(study: Study) -> str:
    """The label of the measure that judges the arms. Tables and pictures show it first. Empty without a result."""
    measure = judged_by(study)
    return "" if measure is None else measure.label


def judged_by(study: Study) -> Measure | None:
    """The measure that chooses arms: validation at the end of the cycle, as far as it was measured."""
    known = {measure.column: measure for measure in study.measures}
    return next((known[column] for column in CHOOSING if column in known), None)


def winners(study: Study) -> list[Winner]:
    """Name the best arm at each density after the dense run, and the arms that may be as good."""
    measure = judged_by(study)
    if measure is None or len(study.measured_arms) < 2 or study.of_runs:
        return []
    found = best(study.table, measure.column, study.mode)
    return [
        Winner(
            cycle=int(row["cycle"]),
            density=percent(row["density"]),
            verdict=row["verdict"],
            arm=row["arm"],
            value=around(measure.label, row["mean"], row["low"]),
            test="not measured" if pd.isna(row["test"]) else score(str(study.facts["test_metric"]), row["test"]),
            rivals=listed(list(row["rivals"])) if row["rivals"] else "none",
            names=tuple(row["rivals"]),
        )
        for row in found[found["cycle"] > 0].to_dict("records")
    ]


def lead(study: Study) -> str:
    """Describe the comparison and its result in a sentence or two."""
    measure = judged_by(study)
    arms, seeds = plural(len(study.arms), "arm"), plural(len(study.seeds), "seed")
    judged = "" if measure is None else f", judged by {measure.label}"
    found = winners(study)
    compared = (
        f"{arms} compared at {_densities(len(found))} with {seeds}{judged}." if found else f"{arms}, {seeds}{judged}."
    )
    decided = [winner for winner in found if winner.verdict != UNDECIDED]
    if not found:
        return compared
    if not decided:
        worse = "" if measure is None else _worse(study, found, measure.column)
        return f"{compared} At no density is one arm significantly better than all others.{worse}"
    parts = [f"{winner.arm} at {winner.density}" for winner in decided]
    rest = "" if len(decided) == len(found) else "; elsewhere the differences are not significant"
    return f"{compared} Better than all others: {listed(parts)}{rest}."


def _worse(study: Study, found: Sequence[Winner], column: str) -> str:
    """Say which arms are significantly worse than the highest, and at which densities.

    An arm without a value at a density is not compared there.
    """
    means = summary(study.table, column)
    measured = set(zip(means["arm"], means["cycle"], strict=True))
    where = {
        arm: [one.density for one in found if (arm, one.cycle) in measured and arm not in (one.arm, *one.names)]
        for arm in study.measured_arms
    }
    parts = [f"{arm} at {listed(densities)}" for arm, densities in where.items() if densities]
    return f" Significantly worse than the highest mean: {'; '.join(parts)}." if parts else ""


def figures(study: Study) -> list[Figure]:
    """Count the arms, the seeds, the trained epochs and the time of the training."""
    done = [node for node in study.nodes.values() if node["status"] == "done"]
    trained = sum(int(node["epochs"]) for node in done)
    alone = sum(int(node["epochs"]) * len(node["arms"]) for node in done)
    seconds = sum(float(node["seconds"] or 0) for node in done)
    shown = [Figure(str(len(study.arms)), "arms"), Figure(str(len(study.seeds)), "seeds")]
    if trained:
        saved = f"epochs trained, {shares(trained, alone)} of the {alone:,} that the arms alone take"
        shown.append(Figure(f"{trained:,}", saved))
    if seconds:
        shown.append(Figure(duration(seconds), "of training, summed over the nodes"))
    return shown


def notes(study: Study) -> list[str]:
    """Note missing and unusual things: failed runs, unfinished nodes, too few seeds, densities that differ."""
    failed = [path for path in study.paths if path["error"]]
    said = [f"{path['arm']}, seed {path['seed']}, failed: {path['error']}" for path in failed]
    if to_go := _to_go(study):
        said.append(f"The study is not finished: {to_go} to go.")
    if not study.store.is_dir():
        said.append(
            f"The store of its nodes, {study.store}, is not there: their learning rates and densities are missing."
        )
    said += study.damaged
    if len(study.seeds) < FEW:
        said.append(
            "There is one seed: no interval can be given, and nothing is significant."
            if len(study.seeds) == 1
            else "There are two seeds: intervals are very wide, and a significant difference may be chance. Take three."
        )
    densities = study.table.dropna(subset=["cycle"]).groupby("cycle")["density"]
    if (densities.max() > (1 + UNEQUAL) * densities.min()).any():
        said.append("The densities of the arms differ: they are compared by cycle, so mind the densities too.")
    if not any(measure.column.startswith("test") for measure in study.measures):
        said.append("No test metric was measured.")
    return said


def results(study: Study, measure: Measure) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Set the means of the arms side by side, one column per density.

    Returns:
        The densities, and the cells of every arm. A cell is empty if the arm has no result there.
    """
    found = summary(study.table, measure.column)
    cycles = sorted(set(found["cycle"]))
    means = study.table.groupby("cycle")["density"].mean()
    cells = {
        (row["arm"], row["cycle"]): around(measure.label, row["mean"], row["low"]) for row in found.to_dict("records")
    }
    lines = [(arm, [cells.get((arm, cycle), "") for cycle in cycles]) for arm in study.arms]
    return [percent(float(means[cycle])) for cycle in cycles], lines


def _to_go(study: Study) -> str:
    """Say how many of the planned nodes are missing. A record of an older version knows only the next nodes."""
    if "to_go" in study.facts:
        left, planned = int(study.facts["to_go"]), study.facts["planned"]
        return f"{plural(left, 'node')} of {planned}" if left else ""
    waiting = sum(node["status"] in ("running", "waiting") for node in study.nodes.values())
    return f"at least {plural(waiting, 'node')}" if waiting else ""


def _densities(count: int) -> str:
    return "1 density" if count == 1 else f"{count} densities"
