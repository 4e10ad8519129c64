"""What the networks of a study cost to use, by arm and cycle: parameters, operations, and measured time."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from lightning_prune.lab.report.logged_run import Run

COMPRESSION, SPEEDUP, LATENCY = "compression", "theoretical speed-up", "milliseconds"
GAINS = (COMPRESSION, SPEEDUP)  # more is better
PROFILE = ("profile", "profile.json")  # where `lightning-prune profile` writes, in the folder of a run


def network_costs(runs: Mapping[str, Run]) -> dict[str, pd.DataFrame]:
    """Collect what the networks cost, as far as the runs have written it.

    Compression is the number of all parameters over the number of those that are not dead. The theoretical speed-up is
    the number of operations of the dense network over that of what is left. It is known for whole structures. The
    milliseconds are those of the last cycle, if ``lightning-prune profile`` has measured its network.

    Args:
        runs: A run of each arm, by name.

    Returns:
        For each unit with a known value a frame with the columns ``arm``, ``cycle`` and ``cost``.
    """
    rows: dict[str, list[dict[str, Any]]] = {unit: [] for unit in (COMPRESSION, SPEEDUP, LATENCY)}
    for arm, run in runs.items():
        cycles = [] if run.record is None else run.record["cycles"]
        for entry in cycles:
            for unit, cost in (
                (COMPRESSION, compression_of(run.record or {}, entry)),
                (SPEEDUP, speedup_of(entry)),
            ):
                if cost is not None:
                    rows[unit].append({"arm": arm, "cycle": entry["cycle"], "cost": cost})
        measured = _milliseconds(run) if cycles else None
        if measured is not None:
            rows[LATENCY].append({"arm": arm, "cycle": cycles[-1]["cycle"], "cost": measured})
    return {unit: pd.DataFrame(found) for unit, found in rows.items() if found}


def compression_of(record: Mapping[str, Any], entry: Mapping[str, Any]) -> float | None:
    """How many times fewer parameters are left than there were.

    Args:
        record: The content of ``pruning.json``.
        entry: One of its cycles.

    Example:
        >>> compression_of({"model_weights": 120, "prunable_weights": 100}, {"alive": {"a": 10, "b": 10}})
        3.0
    """
    if "model_weights" not in record or "prunable_weights" not in record:
        return None
    dead = record["prunable_weights"] - sum(entry["alive"].values())
    return float(record["model_weights"] / max(record["model_weights"] - dead, 1))


def speedup_of(entry: Mapping[str, Any]) -> float | None:
    """How many times fewer operations are left than there were. None if nobody has counted them.

    Args:
        entry: A cycle of ``pruning.json``.

    Example:
        >>> speedup_of({"flops": [100, 40]}), speedup_of({})
        (2.5, None)
    """
    whole, left = entry.get("flops") or (0, 0)
    return float(whole / left) if left else None


def _milliseconds(run: Run) -> float | None:
    """The time of the first measurement of a profile. None if there is no profile, or it is of another format."""
    path = run.folder.joinpath(*PROFILE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return 1e3 * float(content["timings"][0]["this"]["minimum"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
