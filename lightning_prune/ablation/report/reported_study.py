"""Hold a study for the report as one value: its config, its tree of nodes, and its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.report.measures import Measure, measures_of
from lightning_prune.ablation.results.comparison import Mode
from lightning_prune.ablation.storage.shared_store import store_of

Facts = Mapping[str, Any]
OF_RUNS = "runs"  # The kind of a study that was made of single runs.


@dataclass(frozen=True)
class Study:
    """A study, as it was written."""

    folder: Path
    """The folder with study.json."""
    facts: Facts
    """The content of study.json."""
    table: pd.DataFrame
    """The tidy table: one row per arm, seed and cycle."""
    damaged: tuple[str, ...] = ()
    """A sentence for each file of its nodes that could not be read."""

    @property
    def name(self) -> str:
        """The name of the study on the page."""
        return str(self.facts["name"])

    @property
    def of_runs(self) -> bool:
        """Whether its arms are single runs, which have one seed and share nothing."""
        return self.facts.get("kind") == OF_RUNS

    @property
    def member(self) -> str:
        """The word for one of its arms."""
        return "run" if self.of_runs else "arm"

    @property
    def arms(self) -> list[str]:
        """The names of the arms, in the order of the study."""
        return [str(arm["name"]) for arm in self.facts["arms"]]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the study."""
        return [int(seed) for seed in self.facts["seeds"]]

    @property
    def store(self) -> Path:
        """The folder of its nodes: its own folder, or one that several studies share."""
        return store_of(self.folder, self.facts)

    @property
    def metric(self) -> str:
        """The metric by which the study is judged."""
        return str(self.facts["metric"] or "validation")

    @property
    def mode(self) -> Mode:
        """Whether more or less of the metric is better."""
        return "min" if self.facts["mode"] == "min" else "max"

    @property
    def nodes(self) -> Mapping[str, Facts]:
        """The trained nodes, each once: key -> facts."""
        nodes: Mapping[str, Facts] = self.facts["nodes"]
        return nodes

    @property
    def paths(self) -> Sequence[Facts]:
        """One run per arm and seed, with the nodes that it goes through."""
        paths: Sequence[Facts] = self.facts["paths"]
        return paths

    @property
    def measures(self) -> list[Measure]:
        """The measured columns, the most important one first."""
        return measures_of(self.table, self.metric, self.facts["test_metric"])

    @property
    def measured_arms(self) -> list[str]:
        """The arms that have a result."""
        columns = [measure.column for measure in self.measures]
        found = set(self.table.loc[self.table[columns].notna().any(axis=1), "arm"])
        return [arm for arm in self.arms if arm in found]

    def path(self, arm: str, seed: int) -> Facts | None:
        """Find the run of an arm and a seed. ``None`` if there is none."""
        return next((path for path in self.paths if path["arm"] == arm and path["seed"] == seed), None)
