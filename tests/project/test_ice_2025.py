"""The study of ICE's auto-tuning: it has the authors' grid, and runs in small."""

import json
from pathlib import Path

import pytest
import yaml

import lightning_prune
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.study_config import read_study

STUDY = Path(lightning_prune.__file__).parents[1] / "configs" / "ablations" / "ice_2025_auto_tuning.yaml"


def in_small():
    """The study on digits, with one epoch for the dense run."""
    study = read_study(STUDY)
    base = {**study.base, "data": {"class_path": "Digits", "init_args": {"batch_size": 64, "subset": 128}}}
    base["trainer"] = {**base["trainer"], "max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1}
    network = {"class_path": "ResNet", "init_args": {"depth": 20, "channels": 1}}
    base["model"] = {**base["model"], "init_args": {**base["model"]["init_args"], "network": network}}
    base["model"]["init_args"]["scheduler"] = None
    return Ablation.from_config({**yaml.safe_load(STUDY.read_text()), "base": base, "seeds": [0]})


def test_it_tries_the_authors_grid_and_costs_at_most_its_cycles():
    study = in_small()
    baseline, tuned = study.runs
    assert tuned.search is not None
    assert dict(tuned.search.values) == {
        "RetrainWhenNeeded.threshold": [0.005, 0.015],
        "FreezeLayers.fraction": [0.3, 0.9],
    }
    assert study.epochs == (1 + 9 + 4 * 9, 2 + 9 + 4 * 9)
    assert [node.at_most for node in baseline.nodes()] == [False] * 10
    assert [node.at_most for node in tuned.nodes()] == [False, True]


@pytest.mark.slow
def test_it_runs_in_small_and_spares_epochs(tmp_path):
    frame = in_small().run(tmp_path, workers=0)
    assert frame["error"].isna().all(), frame["error"].dropna().tolist()
    tried = json.loads(frame["tried"].dropna().item())
    best, chosen = max(tried["scores"]), tried["values"].index(tried["chosen"])
    near = [epochs for score, epochs in zip(tried["scores"], tried["epochs"], strict=True) if best - score <= 0.005]
    assert tried["epochs"][chosen] == min(near)
    last = frame[frame["cycle"] == 9].set_index("arm")
    assert last.loc["tuned", "density"] == pytest.approx(last.loc["every block", "density"], abs=1e-6)
