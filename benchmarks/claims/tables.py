"""The tables of docs/claims.md, as Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.claims.contrasts import Finding
from benchmarks.claims.oracle import Peaks
from benchmarks.claims.results import Result, hash_of
from lightning_prune.ablation.results.comparison import summary


def differences(findings: Sequence[Finding]) -> str:
    """Lay out findings: a row for each comparison, a column for each density or budget, significant ones in bold.

    Args:
        findings: The comparisons. Those that do not count are in italics.

    Returns:
        A table of points of test accuracy.
    """
    rows = list(dict.fromkeys(one.contrast.row for one in findings))
    columns = list(dict.fromkeys(one.contrast.column for one in findings))
    cells = {(one.contrast.row, one.contrast.column): _cell(one) for one in findings}
    beside = {one.contrast.row for one in findings if not one.contrast.counts} - {
        one.contrast.row for one in findings if one.contrast.counts
    }
    body = [
        [f"*{row}*" if row in beside else row, *(cells.get((row, column), "") for column in columns)] for row in rows
    ]
    return markdown(["points of test accuracy", *columns], body)


def means(result: Result) -> str:
    """The mean of every arm at the end of each cycle, with the hash of all that determines it."""
    found = summary(result.table)
    # The arms of a seed share the dense network, so one row is enough.
    shown = found[(found["cycle"] > 0) | (found["arm"] == result.arms[0])]
    epochs = result.table.groupby(["arm", "cycle"])["epochs"].mean()
    body = [
        [
            _named(row),
            f"{100 * row['density']:.3g} %",
            f"{row['seeds']:.0f}",
            f"{100 * row['mean']:.2f}",
            f"{100 * row['low']:.2f} to {100 * row['high']:.2f}" if row["seeds"] > 1 else "",
            f"{epochs[row['arm'], row['cycle']]:.0f}",
            f"`{hash_of(result.table, row['arm'], row['cycle'])}`",
        ]
        for row in shown.to_dict("records")
    ]
    return markdown(["arm", "weights left", "seeds", "test accuracy, %", "95 % interval", "epochs", "hash"], body)


def peaks(found: Sequence[Peaks], unpruned: Sequence[Peaks] = ()) -> str:
    """Lay out the Oracle's peaks beside SILO's peak.

    Args:
        found: The peaks of every density.
        unpruned: Those of a search with nothing pruned, which SILO's peak is not compared with.
    """
    body = [
        [
            f"{100 * one.density:.3g} %" + (", nothing pruned" if one in unpruned else ""),
            f"{one.best:g}",
            f"{one.low:g} to {one.high:g}" + (" or more" if one.high == one.tried[-1] else ""),
            *(("", "") if one in unpruned else _compared(one)),
        ]
        for one in (*unpruned, *found)
    ]
    within = "within 0.5 points of it on validation"
    return markdown(["weights left", "best peak", within, "SILO's peak", "in the interval"], body)


def _compared(one: Peaks) -> tuple[str, str]:
    """SILO's peak, and whether it lies in the interval."""
    return ("not measured", "") if math.isnan(one.silo) else (f"{one.silo:.3g}", "yes" if one.hit else "**no**")


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Write a table.

    Example:
        >>> print(markdown(["arm", "mean"], [["silo", "0.9"]]))
        | arm | mean |
        |---|---|
        | silo | 0.9 |
    """
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("|---" * len(head) + "|" if one[0] == "---" else f"| {' | '.join(one)} |" for one in lines)


def points(fraction: float) -> str:
    """Write a difference of accuracies in points.

    Example:
        >>> points(0.0123), points(-0.00001)
        ('+1.23', '+0.00')
    """
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"


def _cell(one: Finding) -> str:
    if math.isnan(one.difference):
        return "not measured"
    mean = points(one.difference)
    if math.isnan(one.low):
        return f"{mean} (1 seed)"
    said = f"{mean} [{100 * one.low:+.2f}, {100 * one.high:+.2f}]"  # -0.00 says on which side of 0 an interval ends
    marks = "*" * ((one.decided != "undecided") * 2 + (not one.contrast.counts))
    return f"{marks}{said}{marks}"


def _named(row: Mapping[str, Any]) -> str:
    return "dense" if row["cycle"] == 0 else str(row["arm"])
