"""Keep a study in docs/claims: its table as CSV and its facts as JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.claims.beside import ENSEMBLE, changed_signs, ensembles
from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE

COLUMNS = (
    "arm", "seed", "cycle", "density", "val_last", "test_last", "epochs", "epochs_shared", "seconds", "seconds_shared",
    "peak_lr", "tried", "node",
)  # fmt: skip
DIGITS = 6  # of what is measured; a test set of 10,000 images has four


@dataclass(frozen=True)
class Result:
    """A study that was run.

    Args:
        name: The study, ``"rewinding_resnet8"``.
        table: A row for each arm, seed and cycle.
        facts: ``config``, ``data``, ``workers``, ``versions``, ``hardware``.
    """

    name: str
    table: pd.DataFrame
    facts: Mapping[str, Any]

    @property
    def network(self) -> str:
        """The last part of its name: ``"resnet8"``."""
        return self.name.split("_", 1)[1]

    @property
    def torch(self) -> str:
        """The version of torch."""
        return str(self.facts["versions"]["torch"])

    @property
    def lightning(self) -> str:
        """The version of Lightning."""
        return str(self.facts["versions"]["lightning"])

    @property
    def arms(self) -> list[str]:
        """The arms, in the order of the config."""
        return [str(arm) for arm in self.table["arm"].drop_duplicates()]


def keep(frame: pd.DataFrame, name: str, facts: Mapping[str, Any], folder: Path, study: Path = Path()) -> None:
    """Write what is kept of a study: runs that came to their end, because an earlier cycle is no last one.

    Args:
        frame: Its table, with at least one such run.
        name: The study.
        facts: What is known of it beside the table.
        folder: Where to.
        study: The folder of the study with its nodes, for what their records say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = whole_runs(frame)
    first = known.iloc[0]
    found = {
        **facts,
        "versions": {one: str(first[one]) for one in ("version", "lightning", "torch")},
        "hardware": sorted(known["hardware"].astype(str).unique()),
        "seeds": sorted(int(seed) for seed in known["seed"].unique()),
        "errors": sorted(frame["error"].dropna().astype(str).unique()),
    }
    kept = known[list(COLUMNS)].round(DIGITS)
    signs = changed_signs(known, study)
    if signs.notna().any():
        kept[SIGNS_FROM_BEFORE] = signs.round(DIGITS)
    kept["seconds"], kept["seconds_shared"] = kept["seconds"].round(1), kept["seconds_shared"].round(1)
    kept.to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def whole_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of those arms and seeds that did not fail in any cycle.

    Example:
        >>> frame = pd.DataFrame({"arm": ["a", "b", "b"], "seed": 0, "cycle": [0, 0, 1], "error": [None, None, "no"]})
        >>> whole_runs(frame)["arm"].tolist()
        ['a']
    """
    failed = frame["error"].notna().groupby([frame["arm"], frame["seed"]]).transform("any")
    return frame[~failed]


def read(name: str, folder: Path) -> Result | None:
    """Read what was kept of a study; None if it was not run."""
    if not (folder / f"{name}.json").is_file():
        return None
    table = pd.read_csv(folder / f"{name}.csv")
    found = ensembles(table["tried"])
    table = table.assign(**{ENSEMBLE: found}) if found.notna().any() else table
    return Result(name, table, json.loads((folder / f"{name}.json").read_text()))


def hash_of(table: pd.DataFrame, arm: str, cycle: int) -> str:
    """A short name for all that determines a mean: the keys of the nodes of every seed.

    Args:
        table: The table of a study.
        arm: An arm.
        cycle: A cycle.

    Returns:
        Eight hexadecimal digits.

    Example:
        >>> hash_of(pd.DataFrame({"arm": ["a", "a"], "seed": [1, 0], "cycle": [1, 1], "node": ["x", "y"]}), "a", 1)
        '03075fc6'
    """
    rows = table[(table["arm"] == arm) & (table["cycle"] == cycle)].sort_values("seed")
    return hashlib.sha256("/".join(rows["node"].astype(str)).encode()).hexdigest()[:8]


def hours_of_training(results: list[Result]) -> float:
    """How long all of it was trained, as if one network after another; what studies share counts once."""
    rows = pd.concat([one.table for one in results])
    # The most, because of arms with the same node the one that came to it by a search spent more.
    return float(rows.groupby(["node", "cycle"])["seconds"].max().sum()) / 3600
