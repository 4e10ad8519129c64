"""What arms and grids become: names, values, keys; who shares what, and who must not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from places import HELPERS
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.arm_changes import changed
from lightning_prune.ablation.config.arms import read_arms
from lightning_prune.ablation.planning.fingerprints import tree_fingerprint
from lightning_prune.criteria import random


def keys(arms, **others):
    """The keys of the nodes of each arm, in order."""
    runs = Ablation.from_config(study(arms, **others)).runs
    return {f"{run.arm}{run.seed or ''}": [node.key for node in run.nodes()] for run in runs}


def silo(low, **others):
    return {"class_path": "SILOSchedule", "init_args": {"low": low, "rise": 0.04, **others}}


def test_grids_are_named_after_their_values():
    names = lambda grid: [arm.name for arm in read_arms({"a": {"grid": grid}})]  # noqa: E731
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
    assert names({"lr": [0.01, 1], "retrain": ["2ep"]}) == ["a lr=0.01 retrain=2ep", "a lr=1 retrain=2ep"]
    assert names({"optimizer": [sgd]}) == ["a optimizer=SGD(lr=0.1)"]
    assert names({"callbacks": [["FineTune", "mine.Log"], "LRRewind"]}) == [
        "a callbacks=[FineTune,Log]",
        "a callbacks=LRRewind",
    ]
    assert names({"criterion": ["one.score", "two.score"]}) == ["a criterion=one.score", "a criterion=two.score"]


def test_the_grid_of_the_study_crosses_every_arm():
    arms = read_arms({"a": {"grid": {"x": [1, 2]}}, "b": None}, {"y": [3]})
    assert [(arm.name, dict(arm.changes)) for arm in arms] == [
        ("a x=1 y=3", {"x": 1, "y": 3}),
        ("a x=2 y=3", {"x": 2, "y": 3}),
        ("b y=3", {"y": 3}),
    ]


def test_an_arm_may_be_called_by_a_number():
    assert [arm.name for arm in read_arms([{"name": 0}, {"name": 0.1}])] == ["0", "0.1"]


BASE = {
    "trainer": {"callbacks": [{"class_path": "lightning_prune.IterativePruning", "init_args": {"cycles": 2}}]},
    "model": {
        "class_path": "lightning_prune.lab.Classifier",
        "init_args": {"network": "LeNet300100", "optimizer": "torch.optim.SGD"},
    },
    "data": "lightning_prune.lab.Digits",
}


@pytest.mark.parametrize(
    ("key", "value", "where", "expected"),
    [
        ("cycles", 3, ("trainer", "callbacks", 0, "init_args", "cycles"), 3),
        ("IterativePruning.cycles", 3, ("trainer", "callbacks", 0, "init_args", "cycles"), 3),
        ("IterativePruning", {"cycles": 3}, ("trainer", "callbacks", 0, "init_args", "cycles"), 3),
        ("data.batch_size", 16, ("data", "init_args", "batch_size"), 16),
        ("data", {"batch_size": 16}, ("data", "init_args", "batch_size"), 16),
        ("optimizer", {"lr": 0.3}, ("model", "init_args", "optimizer", "init_args", "lr"), 0.3),
        ("model.optimizer.lr", 0.3, ("model", "init_args", "optimizer", "init_args", "lr"), 0.3),
        ("trainer.max_epochs", 7, ("trainer", "max_epochs"), 7),
        ("trainer", {"callbacks": "LRRewind"}, ("trainer", "callbacks", 1, "class_path"), "lightning_prune.LRRewind"),
        ("pruning.cycles", 3, ("trainer", "callbacks", 0, "init_args", "cycles"), 3),
        ("policy", "LRRewind", ("trainer", "callbacks", 1, "class_path"), "lightning_prune.LRRewind"),
    ],
)
def test_a_key_changes_what_it_names(key, value, where, expected):
    found = changed(BASE, {key: value}, "arm 'a'")
    for part in where:
        found = found[part]
    assert found == expected
    assert BASE["trainer"]["callbacks"][0]["init_args"] == {"cycles": 2}


def test_what_is_the_same_has_the_same_key():
    rewind = {"class_path": "WeightRewind", "init_args": {"to": "1ep"}}
    found = keys(
        {
            "base": {},
            "default policy": {"callbacks": "FineTune"},
            "long name": {"callbacks": "lightning_prune.callbacks.policies.FineTune"},
            "default criterion": {"criterion": "lightning_prune.criteria.magnitude"},
            "1": {"callbacks": silo(1)},
            "1.0": {"callbacks": silo(1.0)},
            "1e0": {"callbacks": silo("1e0")},
            "one order": {"callbacks": [rewind, "LRRewind"]},
            "other order": {"callbacks": ["LRRewind", rewind]},
            "function": {"criterion": random},
            "its path": {"criterion": "lightning_prune.criteria.random"},
        }
    )
    assert len({one[0] for one in found.values()}) == 1, "one dense run for all"
    assert found["base"] == found["default policy"] == found["long name"] == found["default criterion"]
    assert found["1"] == found["1.0"] == found["1e0"]
    assert found["one order"] == found["other order"]
    assert found["function"] == found["its path"]
    assert len({tuple(one) for one in found.values()}) == 4


def test_what_differs_in_the_dense_run_has_another_one():
    arms = {
        "base": {},
        "rate": {"optimizer": {"lr": 0.05}},
        "batches": {"data.batch_size": 16},
        "network": {"network": {"dropout": 0.1}},
        "precision": {"trainer.precision": "bf16-mixed"},
        "clipping": {"trainer.gradient_clip_val": 1.0},
        "watched": {"callbacks": "lightning.pytorch.callbacks.LearningRateMonitor"},
    }
    found = keys(arms, seeds=[0, 1])
    assert len({one[0] for one in found.values()}) == 2 * len(arms)


CODE = """
import helper_{0}
from torch import Tensor, nn
from lightning_prune import FineTune
from lightning_prune.criteria import Evidence

def score(weight: Tensor, evidence: Evidence) -> Tensor:
    return weight.abs() * helper_{0}.FACTOR

class Noisy(FineTune):
    def on_train_batch_end(self, *_):
        pass

class Net(nn.Linear):
    def __init__(self, weights: str = ""):
        super().__init__(64, 10)

    def forward(self, x):
        return super().forward(x.flatten(1))
"""

ASK = """
import json, sys
sys.path[:0] = [*{tests!r}, {folder!r}]
from test_arms import keys
print(json.dumps(keys({arms!r})))
"""


def in_new_process(tmp_path, arms):
    """Keys as a process finds them that imports the files as they are now."""
    tests = [str(Path(__file__).parent), str(HELPERS)]
    code = ASK.format(tests=tests, folder=str(tmp_path), arms=arms)
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


@pytest.mark.slow
def test_edited_files_of_the_user_have_other_keys(tmp_path):
    (tmp_path / "mine.py").write_text(CODE.format("x"))
    (tmp_path / "helper_x.py").write_text("FACTOR = 1\n")
    (tmp_path / "start.pt").write_bytes(b"123")
    net = {"class_path": "mine.Net", "init_args": {"weights": str(tmp_path / "start.pt")}}
    arms = {
        "base": {},
        "score": {"criterion": "mine.score"},
        "net": {"network": net},
        "noisy": {"callbacks": "mine.Noisy"},
    }
    before = in_new_process(tmp_path, arms)
    assert before["score"][0] == before["base"][0], "a criterion changes nothing in the dense run"
    assert len(before["noisy"]) == 1, "who may act in the dense run has one of its own"
    (tmp_path / "helper_x.py").write_text("FACTOR = 2\n")
    after = in_new_process(tmp_path, arms)
    assert before["base"] == after["base"]
    assert before["score"][0] == after["score"][0]
    assert before["score"][1] != after["score"][1]
    assert before["net"][0] != after["net"][0]
    (tmp_path / "start.pt").write_bytes(b"124")
    assert in_new_process(tmp_path, arms)["net"][0] != after["net"][0]


def test_data_that_change_in_place_are_other_data(tmp_path):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "labels.txt"
    file.write_text("0 1 1")
    before = tree_fingerprint(tmp_path / "data")
    file.touch()
    assert tree_fingerprint(tmp_path / "data") == before
    file.write_text("0 1 0")
    assert tree_fingerprint(tmp_path / "data") != before


def test_a_study_may_be_written_as_people_write_numbers(tmp_path):
    content = yaml.safe_dump(study({"a": {}})).replace("lr: 0.1", "lr: 1e-1")
    (tmp_path / "study.yaml").write_text(content)
    config = Ablation.from_config(tmp_path / "study.yaml").config
    assert config.base["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.1


def test_a_class_replaces_the_object_of_the_base_with_all_its_arguments_and_a_mapping_changes_single_ones():
    base = {**BASE, "policy": {"class_path": "OneCycleRetrain", "init_args": {"max_lr": 0.5, "warmup": 0.3}}}
    found = lambda changes: changed(base, changes, "arm 'a'")["trainer"]["callbacks"][1]  # noqa: E731
    assert found({"policy": "LinearRestart"}) == {"class_path": "lightning_prune.LinearRestart", "init_args": {}}
    assert found({"policy": "OneCycleRetrain"})["init_args"] == {}
    assert found({"policy": {"warmup": 0.1}})["init_args"] == {"max_lr": 0.5, "warmup": 0.1}
    assert found({"policy.warmup": 0.1}) == found({"policy": {"warmup": 0.1}})
    assert len(changed(base, {"policy": None}, "arm 'a'")["trainer"]["callbacks"]) == 1
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
    heavy = {
        **BASE,
        "model": {
            **BASE["model"],
            "init_args": {
                **BASE["model"]["init_args"],
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"weight_decay": 0.5}},
            },
        },
    }
    assert changed(heavy, {"model.optimizer": adam}, "arm 'a'")["model"]["init_args"]["optimizer"] == adam


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ({"callbacks": "LRRewind", "to": "1ep"}, {"policy": "LRRewind", "policy.to": "1ep"}),
        (
            {"callbacks": [silo(1), "Reinitialize"], "Reinitialize.seed": 3},
            {"policy": silo(1), "start": "Reinitialize", "start.seed": 3},
        ),
        ({"cycles": 3, "optimizer": {"lr": 0.3}}, {"pruning.cycles": 3, "model.optimizer.lr": 0.3}),
        ({"without": "IterativePruning"}, {"pruning": None}),
    ],
)
def test_keys_of_an_earlier_version_mean_what_they_meant(former, present):
    assert changed(BASE, former, "arm 'a'") == changed(BASE, present, "arm 'a'")
