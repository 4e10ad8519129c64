"""Arms that leave out cycles: their rows, what they cost at most, their search, and the same network as alone."""

import json
from pathlib import Path

import pytest
import torch
from exact_arms import alone
from killed_studies import assert_same, killed
from studies import study, weights_of

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.run_study import _epochs
from lightning_prune.ablation.running.chosen import chosen_of

FREEZE = {"class_path": "FreezeLayers", "init_args": {"fraction": 0.3}}


def needed(threshold=0.01):
    return {"class_path": "RetrainWhenNeeded", "init_args": {"threshold": threshold}}


def chosen(*left_out):
    arguments = {"left_out": list(left_out), "monitor": "val/accuracy", "mode": "max"}
    return {"class_path": "left_out.Chosen", "init_args": arguments}


def of_cycles(arms, cycles=3, **others):
    config = study(arms, **others)
    trainer = config["base"]["trainer"]
    levels = {"class_path": "Linear", "init_args": {"final": 0.9, "cycles": cycles}}
    trainer["max_epochs"] = 1
    trainer["callbacks"][0]["init_args"] = {"cycles": cycles, "retrain": "1ep", "sparsity": levels}
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study whose arms leave out the first and the last cycle, or only those in the middle."""
    out = tmp_path_factory.mktemp("study")
    follower = {"pruning.masks_from": "ends"}
    arms = {"ends": {"callbacks": chosen(1, 3)}, "middle": {"callbacks": chosen(2)}, "follower": follower}
    return out, Ablation.from_config(of_cycles(arms)).run(out, workers=0)


def test_a_cycle_that_is_left_out_has_a_row_without_epochs_and_with_its_values(trained):
    out, frame = trained
    assert frame["error"].isna().all(), frame["error"].dropna().tolist()
    for arm, trained_in in {"ends": [2], "middle": [1, 3]}.items():
        rows = frame[frame["arm"] == arm].set_index("cycle")
        assert rows["epochs"].tolist() == [1, *(int(cycle in trained_in) for cycle in (1, 2, 3))]
        assert rows["val_last"].notna().all()
        assert rows["test_last"].notna().all()
        assert (rows["best_epoch"] == rows["epochs"]).all()
        assert rows["density"].is_monotonic_decreasing
        record = json.loads(next((out / "nodes").glob(f"*{rows.loc[3, 'node'][:12]}/pruning.json")).read_text())
        for one in record["retraining"]["decisions"]:
            if not one["retrained"]:  # its network is the one that was looked at
                assert rows.loc[one["cycle"], "val_last"] == pytest.approx(one["value"], abs=1e-6)


def test_it_comes_to_what_it_comes_to_alone(trained, tmp_path):
    out, frame = trained
    for arm in ("ends", "middle"):
        shared = weights_of(out / frame[frame["arm"] == arm]["checkpoint"].iloc[-1])
        expected = alone(tmp_path / arm, out / "arms" / f"{arm}-seed=0.yaml")
        assert all(torch.equal(shared[name], one) for name, one in expected.items())


def test_another_arm_can_follow_its_masks(trained):
    out, frame = trained
    for cycle in (1, 3):
        rows = frame[frame["cycle"] == cycle].set_index("arm")
        assert rows.loc["follower", "density"] == rows.loc["ends", "density"]
    one, two = (weights_of(out / frame[frame["arm"] == arm]["checkpoint"].iloc[-1]) for arm in ("ends", "follower"))
    assert all(torch.equal(one[name] == 0, two[name] == 0) for name in one if one[name].dim() > 1)


def test_the_cost_is_said_as_a_most():
    ablation = Ablation.from_config(
        of_cycles({"a": {}, "b": {"callbacks": needed(), "search": {"RetrainWhenNeeded.threshold": [0.1, 0.2]}}})
    )
    assert ablation.epochs == (1 + 3 + 2 * 3, 1 + 3 + 1 + 2 * 3)
    assert _epochs(ablation).startswith("At most 10 epochs for at most 11 of arms alone")
    (dense,) = ablation.tree().children
    assert [one.label.split(", [")[0] for one in dense.children] == [
        "cycles 1-3: 3 epochs",
        "cycles 1-3: at most 3 epochs, 2 tried",
    ]


def test_a_search_takes_the_fewest_epochs_within_its_tolerance(tmp_path):
    search = {"Chosen.left_out": [[], [1, 2], [1, 2, 3]], "FreezeLayers.fraction": [0.3]}
    frames = {}
    for tolerance in (None, 1.0):
        given = search if tolerance is None else {**search, "tolerance": tolerance}
        config = of_cycles({"s": {"callbacks": [chosen(), FREEZE], "search": given}})
        frames[tolerance] = frame = Ablation.from_config(config).run(
            tmp_path / str(tolerance), workers=0, store=tmp_path / "nodes"
        )
        assert frame["tried"].notna().tolist() == [False, False, False, True], "it chooses once, over all cycles"
        tried = json.loads(frame["tried"].iloc[-1])
        if tolerance is None:
            assert tried["scores"][tried["values"].index(tried["chosen"])] == max(tried["scores"])
        else:
            assert (tried["epochs"], tried["chosen"]["Chosen.left_out"]) == ([3, 1, 0], [1, 2, 3])
        assert frame[frame["cycle"] > 0]["epochs"].tolist() == [1, 1, 2], "what was tried has its cost"
    assert json.loads(Path(tmp_path, "1.0", "study.json").read_text())["arms"][0]["search"]["tolerance"] == 1.0


@pytest.mark.parametrize(
    ("tolerance", "expected"), [(None, 1), (0.0, 1), (0.005, 2), (0.02, 0), (0.3, 0)], ids=lambda one: str(one)
)
def test_the_choice_is_the_cheapest_that_is_near_the_best(tolerance, expected):
    scores, epochs = [0.95, 0.97, 0.965, None, float("nan")], [2, 9, 4, None, 0]
    assert chosen_of(scores, False, epochs, tolerance) == expected
    assert chosen_of([None if s is None else 1 - s for s in scores], True, epochs, tolerance) == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"callbacks": needed(), "retrain": "5it"}, "RetrainWhenNeeded leaves out the epochs of cycles, and these cycles go by"),
        ({"callbacks": needed(), "soup": {"copies": 2}}, "each copy would leave out cycles of its own"),
        ({"callbacks": needed(), "trainer.limit_val_batches": 0}, "RetrainWhenNeeded chooses by a validation metric, and it has"),
        ({"soup": {"copies": 2}, "trainer.limit_val_batches": 0}, "its soup chooses by a validation metric, and it has"),
        ({"callbacks": needed(), "search": {"RetrainWhenNeeded.threshold": [0.1], "tolerance": -1}}, "must be at least 0"),
        ({"search": {"optimizer_state": ["reset"], "tolerance": 0.1}}, "chooses by epochs, and all candidates train equally"),
    ],
    ids=["steps", "soup", "no validation", "soup without validation", "tolerance", "equal epochs"],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_before_the_training(changes, said):
    with pytest.raises(ValueError, match=said):
        _ = Ablation.from_config(of_cycles({"arm": changes})).runs


@pytest.mark.slow
@pytest.mark.parametrize(("name", "times"), [("seed=0-cycle", 1), ("last.ckpt", 3), ("last.ckpt", 4)], ids=str)
def test_a_study_that_was_killed_goes_on_as_if_it_was_not(name, times, tmp_path):
    config = of_cycles({"ends": {"callbacks": chosen(1, 4)}, "late": {"callbacks": chosen(2, 3, 4)}}, cycles=4)
    whole = Ablation.from_config(config).run(tmp_path / "whole", workers=0, every=0)
    killed(config, tmp_path / "out", name=name, times=times, after=True)
    again = Ablation.from_config(config).run(tmp_path / "out", workers=0, every=0)
    assert_same(again, tmp_path / "out", whole, tmp_path / "whole")
