"""Put the results of the nodes into one tidy table, with a row for each arm, seed and cycle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.running.loop import Course, Running
from lightning_prune.ablation.sharing.node import Node
from lightning_prune.ablation.training.node_measurement import best_name
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.write_whole import write_whole

COLUMNS = {
    "arm": "object",
    "seed": "int64",
    "cycle": "Int64",
    "density": "float64",
    "sparsity": "float64",
    "val_last": "float64",
    "val_best": "float64",
    "test_last": "float64",
    "test_best": "float64",
    "loss_last": "float64",
    "best_epoch": "Int64",
    "epochs": "Int64",
    "epochs_shared": "Int64",
    "seconds": "float64",
    "seconds_shared": "float64",
    "peak_lr": "float64",
    "tried": "object",
    "node": "object",
    "checkpoint": "object",
    "best_checkpoint": "object",
    "metric": "object",
    "test_metric": "object",
    "error": "object",
    "version": "object",
    "lightning": "object",
    "torch": "object",
    "hardware": "object",
}


def table_of(running: Running, store: str) -> pd.DataFrame:
    """Make the table of all finished nodes.

    Args:
        running: A study, which need not be finished.
        store: The path from the folder of the study to the folder of its nodes.

    Returns:
        A row for each arm, seed and cycle, in this order. A failed run has one more row with its error. If several
        arms share a node, its epochs and seconds count as spent by the first arm, and as shared for the others.
    """
    rows: list[dict[str, Any]] = []
    paid: set[str] = set()
    for course in running.courses:
        for node in course.nodes:
            if node.key in running.results:
                rows += _rows(running, course, node, Path(store), shared=node.key in paid)
                paid.add(node.key)
        if course.error is not None:
            rows.append({"arm": course.run.arm, "seed": course.run.seed, "error": course.error})
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def write_table(frame: pd.DataFrame, out: Path) -> None:
    """Write table.parquet and table.csv. Each file is written whole.

    Both have the names as the study has them, so that rows can be joined by name. The names hold no control
    characters. But a spreadsheet reads ``=...`` as a formula, so import the columns of a stranger's table as text.

    Args:
        frame: The table.
        out: The folder of the study.
    """
    write_whole(out / "table.parquet", lambda aside: frame.to_parquet(aside, index=False))
    write_whole(out / "table.csv", lambda aside: frame.to_csv(aside, index=False))


def _rows(running: Running, course: Course, node: Node, store: Path, shared: bool) -> list[dict[str, Any]]:
    result = running.results[node.key]
    folder = store / running.store.folder(node).relative_to(running.store.root)
    rows: Sequence[dict[str, Any]] = result["rows"]
    tried = course.tried.get(node.key)
    left = _left_behind(running, course, node)  # A search also trained these nodes, for its choice.
    found = []
    for row in rows:
        own = _seconds_of(result, row)
        others = [(one, other) for one in left for other in one["rows"] if other["cycle"] == row["cycle"]]
        seconds = own + sum(_seconds_of(one, other) for one, other in others)
        found.append(
            {
                **{name: row.get(name) for name in COLUMNS if name in row},
                "arm": course.run.arm,
                "seed": course.run.seed,
                "epochs": row["epochs"] + sum(other["epochs"] for _, other in others),
                "epochs_shared": row["epochs"] if shared else 0,
                "seconds": seconds,
                "seconds_shared": own if shared else 0.0,
                "tried": tried.to_json() if tried is not None and row is rows[-1] else None,
                "node": node.key,
                "checkpoint": str(folder / LAST) if row is rows[-1] else None,
                "best_checkpoint": str(folder / best_name(row["cycle"])) if row["val_best"] is not None else None,
                **{name: result[name] for name in ("version", "lightning", "torch", "hardware")},
            }
        )
    return found


def _seconds_of(result: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """The part of a row in the seconds of its node: that of its epochs, or equal parts where no epoch was trained."""
    part = row["epochs"] / result["epochs"] if result["epochs"] else 1 / len(result["rows"])
    return float(result["seconds"] * part)


def _left_behind(running: Running, course: Course, node: Node) -> list[Mapping[str, Any]]:
    """The results of the nodes that a search tried in the place of a node and did not choose."""
    others = [one for one in course.candidates if (one.parent, one.first) == (node.parent, node.first)]
    keys = dict.fromkeys(one.key for one in others if one.key != node.key)
    return [running.results[key] for key in keys if key in running.results]
