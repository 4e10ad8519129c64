"""A search chooses by validation at each cycle, and comes to what its choices come to when they are trained alone."""

import json
import subprocess
import sys

import pytest
import torch
from killed_studies import COUNT, assert_same, epochs_counted, killed, small
from studies import study, weights_of

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.arms import Search
from lightning_prune.ablation.running.optuna_sampler import Sampler

POLICY = {"class_path": "SILOSchedule", "init_args": {"low": 0.1, "rise": 0.0}}
PEAKS = [0.0005, 0.1]


def test_a_grid_search_chooses_by_validation_and_goes_on_from_there(tmp_path):
    arms = {"search": {"callbacks": POLICY, "search": {"low": PEAKS}}}
    for low in PEAKS:
        arms[f"low={low}"] = {"callbacks": POLICY, "low": low}
    frame = Ablation.from_config(study(arms)).run(tmp_path, workers=0)
    assert frame["error"].isna().all()
    searched = frame[frame["arm"] == "search"].set_index("cycle")
    tried = [json.loads(searched.loc[cycle, "tried"]) for cycle in (1, 2)]
    for one in tried:
        assert one["argument"] == "low"
        assert one["values"] == PEAKS
        assert one["chosen"] == PEAKS[one["scores"].index(max(one["scores"]))]
        assert len(set(one["scores"])) == 2, "the case must decide something"
    for cycle, one in zip((1, 2), tried, strict=True):
        assert searched.loc[cycle, "val_last"] == max(one["scores"])
        assert searched.loc[cycle, "epochs"] == len(PEAKS) * 2, "what was tried has its cost"
    first = frame[(frame["arm"] == f"low={tried[0]['chosen']}") & (frame["cycle"] == 1)].iloc[0]
    assert searched.loc[1, "node"] == first["node"], "what is tried is shared with the arm that is the same"
    if tried[0]["chosen"] == tried[1]["chosen"]:
        alone = frame[(frame["arm"] == f"low={tried[0]['chosen']}") & (frame["cycle"] == 2)].iloc[0]
        one, two = (weights_of(tmp_path / row["checkpoint"]) for row in (searched.loc[2], alone))
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_candidate_that_fails_is_not_chosen(tmp_path):
    failing = {"criterion": ["lightning_prune.criteria.magnitude", "faulty.not_a_number"]}
    frame = Ablation.from_config(small({"s": {"search": failing}})).run(tmp_path, workers=0)
    assert frame["error"].isna().all()
    tried = json.loads(frame["tried"].dropna().iloc[0])
    assert tried["chosen"].endswith("magnitude")
    assert tried["scores"][1] is None


def test_a_search_in_which_everything_fails_is_a_failed_arm(tmp_path):
    failing = {"criterion": ["faulty.not_a_number"]}
    frame = Ablation.from_config(small({"s": {"search": failing}, "good": {}})).run(tmp_path, workers=0, errors="keep")
    assert "not_a_number" in frame[frame["arm"] == "s"]["error"].dropna().iloc[0]
    assert frame[frame["arm"] == "good"]["error"].isna().all()


def test_a_search_needs_validation():
    arms = {"s": {"callbacks": POLICY, "search": {"low": PEAKS}, "trainer.limit_val_batches": 0}}
    with pytest.raises(ValueError, match=r"arm 's': its search chooses by a validation metric, and it has `limit_val_"):
        _ = Ablation.from_config(small(arms)).runs


@pytest.mark.parametrize(
    ("search", "changes"),
    [
        ({"optimizer": [{"lr": 0.1}, {"lr": 0.2}]}, {}),
        ({"retrain": ["2ep", "3ep"]}, {}),
        (
            {"WeightRewind.to": ["0ep", "1ep"]},
            {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "1ep"}}},
        ),
        ({"criterion": ["lightning_prune.criteria.random"]}, {"without": "IterativePruning"}),
    ],
)
def test_a_search_for_what_no_single_cycle_can_change_is_refused(search, changes):
    with pytest.raises(ValueError, match=r"arm 's'") as caught:
        _ = Ablation.from_config(small({"s": {"search": search, **changes}})).runs
    assert next(iter(search)) in str(caught.value)


RANGES = {"low": {"low": 1e-4, "high": 0.1, "log": True}, "warmup": [0.1, 0.5]}


def test_optuna_proposes_the_same_again_and_learns():
    def proposals(scores):
        sampler, found = Sampler(Search(RANGES, "optuna", 4), seed=3), []
        for score in scores:
            found.append(sampler.propose())
            sampler.learn(score, lower_is_better=False)
        return found

    assert proposals([0.1, None, float("nan"), 0.4]) == proposals([0.1, None, float("nan"), 0.4])
    assert all(1e-4 <= one["low"] <= 0.1 and one["warmup"] in (0.1, 0.5) for one in proposals([0.1] * 4))
    many = [0.01 * index for index in range(20)]
    assert proposals(many) != proposals(many[::-1])


@pytest.mark.slow
def test_a_search_with_optuna_that_was_killed_trains_nothing_twice(tmp_path, monkeypatch):
    config = small({"s": {"callbacks": POLICY, "search": {**RANGES, "sampler": "optuna", "trials": 3}}})
    monkeypatch.setenv(COUNT, str(tmp_path / "whole-count"))
    whole = Ablation.from_config(config).run(tmp_path / "whole", workers=0, every=0)
    killed(config, tmp_path / "out", name="seed=0-cycle", times=2, after=True, count=tmp_path / "first")
    monkeypatch.setenv(COUNT, str(tmp_path / "again"))
    frame = Ablation.from_config(config).run(tmp_path / "out", workers=0, every=0)
    trained = epochs_counted(tmp_path / "first") + epochs_counted(tmp_path / "again")
    assert sorted(trained) == sorted(epochs_counted(tmp_path / "whole-count"))
    assert_same(frame, tmp_path / "out", whole, tmp_path / "whole")


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        (
            "optuna",
            "read_arms({'a': {'search': {'low': [1], 'sampler': 'optuna', 'trials': 1}}})",
            "lightning-prune[optuna]",
        ),
        ("ray", "make_engine('ray', 1, '.')", "lightning-prune[ray]"),
    ],
)
def test_what_is_not_installed_is_named_with_the_command(module, code, said, monkeypatch):
    from importlib import util

    from lightning_prune.ablation.config.arms import read_arms
    from lightning_prune.ablation.running.engines import choice

    find = util.find_spec
    missing = lambda name, *rest: None if name == module else find(name, *rest)  # noqa: E731
    monkeypatch.setattr("lightning_prune.ablation.config.tried_values.find_spec", missing)
    monkeypatch.setattr(choice, "find_spec", missing)
    with pytest.raises(ValueError, match=r"pip install") as caught:
        eval(code, {"read_arms": read_arms, "make_engine": choice.make_engine})
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_study_without_a_search_does_not_need_optuna():
    code = "import sys, lightning_prune.ablation; print('optuna' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True).strip() == "False"
