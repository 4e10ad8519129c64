"""Soups in a study: copies from one pruned network, their mean, and the next prune from there."""

import json

import pytest
import torch

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.planning.dry_run import epochs_shared

BASE = {
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    "pruning": {"cycles": 2, "retrain": "1ep", "sparsity": {"class_path": "Geometric", "init_args": {"fraction": 0.5}}},
    "policy": "FineTune",
    "model": {
        "class_path": "Classifier",
        "init_args": {
            "network": {"class_path": "ConvNet", "init_args": {"channels": 1, "width": 2}},
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
        },
    },
    "data": {"class_path": "Digits", "init_args": {"batch_size": 64, "validation": 0.25, "subset": 200}},
}


def masks_of(state):
    return {name: one == 0 for name, one in state.items() if one.dim() > 1}


def nodes_in(folder, frame, arm, cycle):
    (key,) = frame[(frame["arm"] == arm) & (frame["cycle"] == cycle)]["node"]
    (path,) = (folder / "nodes").glob(f"*{key[:12]}")
    return path


def checkpoint(path):
    return torch.load(path / "last.ckpt", weights_only=True)


def copies_of(path):
    return [path.parent / name for name in json.loads((path / "job.json").read_text())["node"]["copies"]]


def test_a_soup_is_the_mean_of_its_copies_and_the_next_prune_is_that_of_the_mean(tmp_path):
    arms = {
        "soup": {"soup": {"copies": 2, "greedy": False}},
        "best copy": {"search": {"order": [1, 2]}, "pruning.cycles": 1},
    }
    study = Ablation(base=BASE, arms=arms, seeds=1)
    assert epochs_shared(study.runs) == 2 + 2 * 2 + 2
    frame = study.run(tmp_path, workers=0)
    assert frame["error"].isna().all()
    for cycle in (1, 2):
        mean = nodes_in(tmp_path, frame, "soup", cycle)
        states = [checkpoint(one)["state_dict"] for one in copies_of(mean)]
        assert len(states) == 2
        assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0]), "the copies differ"
        found = checkpoint(mean)["state_dict"]
        for name, one in found.items():
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                assert torch.equal(one, ((states[0][name].double() + states[1][name].double()) / 2).float()), name
        assert any(not torch.allclose(one, found[name]) for name, one in states[0].items() if "running" in name)
        dead = checkpoint(mean)["callbacks"]["IterativePruning"]["cycles"][-1]["alive"]
        assert sum(dead.values()) == sum(int((~zero).sum()) for zero in masks_of(found).values())
    first = checkpoint(nodes_in(tmp_path, frame, "soup", 1))["state_dict"]
    size = sum(one.numel() for one in masks_of(first).values())
    kept = torch.cat([one.abs().flatten() for one in first.values() if one.dim() > 1]).sort(descending=True).values
    cut = kept[round(0.25 * size) - 1]
    second = checkpoint(copies_of(nodes_in(tmp_path, frame, "soup", 2))[0])["state_dict"]
    assert all(not second[name][one.abs() < cut].any() for name, one in first.items() if one.dim() > 1)
    rows = frame.set_index(["arm", "cycle"])
    tried = json.loads(rows.loc[("soup", 1), "tried"])
    assert tried["soup"]["mixed"] == [0, 1]
    assert set(tried["soup"]) == {"mixed", "best", "best_test", "ensemble", "ensemble_test"}
    assert tried["soup"]["best"] == max(tried["scores"]) == rows.loc[("best copy", 1), "val_last"]
    assert rows.loc[("soup", 1), "epochs"] == 2, "both copies have their cost"


@pytest.mark.slow
def test_a_soup_that_is_run_again_trains_nothing_and_a_lost_mean_comes_out_the_same(tmp_path):
    study = Ablation(
        base={**BASE, "pruning": {**BASE["pruning"], "cycles": 1}}, arms={"s": {"soup": {"copies": 2}}}, seeds=1
    )
    frame = study.run(tmp_path, workers=0)
    mean = nodes_in(tmp_path, frame, "s", 1)
    before = checkpoint(mean)
    for file in mean.iterdir():
        file.unlink()
    mean.rmdir()
    again = study.run(tmp_path, workers=0)
    assert again.loc[again["cycle"] == 1, "val_last"].item() == frame.loc[frame["cycle"] == 1, "val_last"].item()
    after = checkpoint(mean)
    assert all(torch.equal(one, after["state_dict"][name]) for name, one in before["state_dict"].items())
    soup = json.loads(frame["tried"].dropna().item())
    assert frame.loc[frame["cycle"] == 1, "val_last"].item() >= max(soup["scores"]), "greedy: not worse than the best"


@pytest.mark.parametrize(
    ("soup", "said"),
    [
        ({"copies": 1}, "copies=1 must be a whole number of at least 2"),
        ({"copies": 2, "vary": {"policy.max_lr": [0.1]}}, "`policy.max_lr` must be a list of 2 values"),
        ({"copies": 2, "greedy": "yes"}, "greedy='yes' must be true or false"),
        ({"copies": 2, "often": 1}, "must be a mapping such as {copies: 3, greedy: true}"),
        ({"copies": 2, "vary": {"pruning.retrain": ["1ep", "2ep"]}}, "the lengths of the cycles would be others"),
    ],
)
def test_wrong_soups_are_refused_before_anything_is_trained(soup, said):
    with pytest.raises(ValueError, match=said):
        _ = Ablation(base=BASE, arms={"s": {"soup": soup}}, seeds=1).runs


def test_an_arm_has_a_search_or_a_soup():
    with pytest.raises(ValueError, match="arm 's' has a search and a soup"):
        Ablation(base=BASE, arms={"s": {"soup": {"copies": 2}, "search": {"order": [1, 2]}}}, seeds=1)
