"""How a study of regimes is written: temperatures, checkpoints of one dense run, and steps that stay the same."""

import pytest

from lightning_prune import UserError
from lightning_prune.regimes.study.regimes_config import read_regimes
from lightning_prune.regimes.study.temperatures import read_temperatures

BASE = {
    "trainer": {"max_epochs": 30},
    "data": {"class_path": "Digits", "init_args": {"batch_size": 64}},
    "model": {"init_args": {"scheduler": {"class_path": "X", "init_args": {"milestones": [20, 26], "gamma": 0.1}}}},
}
STUDY = {"base": {"trainer": {"max_epochs": 30}}, "temperatures": {"trainer.max_epochs": [5, 30]}, "densities": [0.5]}


def test_epochs_are_checkpoints_of_one_dense_run():
    found = read_temperatures({"trainer.max_epochs": [5, 30]}, BASE)
    assert [(one.name, one.changes, one.epoch) for one in found] == [("5 epochs", {}, 5), ("30 epochs", {}, None)]


def test_another_batch_size_keeps_the_steps():
    half, double = read_temperatures({"data.batch_size": [32, 128]}, BASE)
    assert half.changes == {"data.batch_size": 32, "trainer.max_epochs": 15, "model.scheduler.milestones": [10, 13]}
    assert double.changes["trainer.max_epochs"] == 60
    assert double.changes["model.scheduler.milestones"] == [40, 52]


def test_any_path_and_any_changes_are_temperatures():
    low, high = read_temperatures({"model.optimizer.weight_decay": [1e-4, 1e-3]}, BASE)
    assert (low.name, high.changes) == ("weight decay 0.0001", {"model.optimizer.weight_decay": 1e-3})
    (named,) = read_temperatures({"hot": {"model.optimizer.lr": 1.0, "trainer.max_epochs": 3}}, BASE)
    assert (named.name, named.epoch) == ("hot", None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "values by path"),
        ({"trainer.max_epochs": [31]}, "from 1 to 30"),
        ({"trainer.max_epochs": [0]}, "from 1 to 30"),
        ({"trainer.max_epochs": [5, 5]}, "twice"),
        ({"trainer.max_epochs": 5}, "no list of values"),
        ({"a": [1], "b": [2]}, "2 paths at once"),
        ({"hot": {"a": 1}, "cold": 3}, "for `cold` it gives 3"),
        ({"data.batch_size": ["large"]}, "whole numbers"),
    ],
)
def test_what_is_no_temperature_is_refused(given, said):
    with pytest.raises(UserError, match=said):
        read_temperatures(given, BASE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"densities": []}, "fractions"),
        ({"densities": [0.5, 1.5]}, "fractions"),
        ({"densities": [0.5, 0.5]}, "twice"),
        ({"copies": 1}, "copies=1"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": "small"}, "tolerance"),
        ({"retrain": ["15ep"]}, "retrain"),
        ({"temperature": {}}, "temperatures"),
        ({"base": {**STUDY["base"], "start": "Reinitialize"}}, "Leave `start` out"),
    ],
)
def test_what_is_no_study_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        read_regimes({**STUDY, **change})
