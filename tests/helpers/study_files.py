"""The studies of `make claims` as their configs have them, and tables as if they had been trained."""

from pathlib import Path
from typing import Any

import numpy
import pandas as pd

import lightning_prune
from benchmarks.claims import studies
from lightning_prune.ablation.config.study_config import StudyConfig, read_study

ROOT = Path(lightning_prune.__file__).parents[1]
SIZES = ("cpu", "full")
STUDIES = sorted((path.parent.name, path.stem) for path in (ROOT / "configs/claims").glob("*/*_*.yaml"))


def studies_of_topic(topic: str) -> list[tuple[str, str]]:
    """The sizes and names of the studies of a topic."""
    return [one for one in STUDIES if one[1].startswith(f"{topic}_")]


def read(name: str, size: str) -> StudyConfig:
    return read_study(studies.read(name, size, None, Path("images")))


def clock_of(study: StudyConfig) -> dict[str, Any]:
    """The arguments of IterativePruning in the base config."""
    return study.base["pruning"]


def cycles_of(changes: dict[str, Any], study: StudyConfig) -> int:
    """The cycles of an arm; none for an arm without IterativePruning."""
    if "pruning" in changes and changes["pruning"] is None:
        return 0
    return changes.get("pruning.cycles", clock_of(study)["cycles"])


def as_if_trained(study: StudyConfig) -> pd.DataFrame:
    """The table of a finished study: arms, seeds and cycles of its config, accuracies by chance."""
    dense = study.base["trainer"]["max_epochs"]
    rows = [
        {"arm": arm.name, "seed": seed, "cycle": cycle, "epochs": dense, "density": 0.8**cycle}
        for arm in study.arms
        for seed in study.seeds
        for cycle in range(cycles_of(arm.changes, study) + 1)
    ]
    accuracies = numpy.random.default_rng(0).uniform(size=len(rows))
    return pd.DataFrame(rows).assign(test_last=accuracies, peak_lr=0.1)
