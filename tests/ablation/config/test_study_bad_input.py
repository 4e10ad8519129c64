"""What is written wrong is said in a sentence that names it, before anything is trained or lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from killed_studies import small
from places import HELPERS
from studies import BASE, study

from lightning_prune import cli
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.report.read_study import read_study

SGD = {"class_path": "torch.optim.SGD"}
TWICE = "base: base.yaml\narms:\n  a: {}\n  a: {callbacks: LRRewind}\n"

STUDIES = {
    "unknown key of the study": ({"sead": 1}, "there is no `sead`. Did you mean `seeds`?"),
    "unknown seeds": ({"seeds": "all"}, "Ablation(seeds='all') must be how many, or a list of whole numbers"),
    "no seeds": ({"seeds": 0}, "Ablation(seeds=0)"),
    "negative seed": ({"seeds": [-1]}, "Ablation(seeds=[-1])"),
    "a seed twice": ({"seeds": [1, 1]}, "names a seed twice"),
    "empty arms": ({"arms": {}}, "`arms` is missing or empty"),
    "arms that are none": ({"arms": 3}, "Ablation(arms) must be a list of arms, or a mapping"),
    "equal names": ({"arms": [{"name": "a"}, {"name": "a"}]}, "2 arms are called 'a'"),
    "an arm that is a word": ({"arms": {"a": "LRRewind"}}, "arm 'a' must be a mapping of changes, not 'LRRewind'"),
    "empty grid": ({"arms": {"a": {"grid": {}}}}, "the grid of arm 'a' is empty"),
    "empty grid of the study": ({"grid": None}, "Ablation(grid=None) must give values by key"),
    "a grid without values": ({"arms": {"a": {"grid": {"cycles": []}}}}, "gives no values for `cycles`"),
    "a grid of no list": ({"grid": {"cycles": 3}}, "gives no values for `cycles`: 3"),
    "set and in a grid": ({"arms": {"a": {"cycles": 1}}, "grid": {"cycles": [1]}}, "arm 'a' sets `cycles`, and a grid"),
    "in two grids": ({"arms": {"a": {"grid": {"cycles": [2]}}}, "grid": {"cycles": [1]}}, "Keep one"),
    "an object": ({"arms": {"a": {"criterion": lambda weight: weight}}}, "Ablation(arms.a.criterion) is <function"),
    "metric of another type": ({"metric": 3}, "Ablation(metric=3) must be the name of a logged value"),
    "no base": ({"base": None}, "`base` is missing"),
    "unknown base": ({"base": "nowhere.yaml"}, "Ablation(base): nowhere.yaml does not exist"),
    "empty search": ({"arms": {"a": {"search": {}}}}, "the search of arm 'a' has nothing to try"),
    "no trials": ({"arms": {"a": {"search": {"x": [1], "sampler": "optuna"}}}}, "needs `trials`, at least 1, not 0"),
    "unknown sampler": ({"arms": {"a": {"search": {"x": [1], "sampler": "tpe"}}}}, "Give 'grid' or 'optuna'"),
    "searched and set": ({"arms": {"a": {"cycles": 1, "search": {"cycles": [1]}}}}, "its search tries values for it"),
}


@pytest.mark.parametrize(("wrong", "said"), STUDIES.values(), ids=STUDIES)
def test_a_study_that_is_written_wrong(wrong, said):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        Ablation.from_config({**study({"a": {}}), **wrong})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


ARMS = {
    "unknown key": ({"cycels": 3}, "there is no `cycels`. Did you mean `pruning.cycles`?"),
    "an argument of the data without its path": (
        {"batch_size": 3},
        "there is no `batch_size`. Did you mean `data.batch_size`?",
    ),
    "a misspelt argument of the trainer": (
        {"max_epoch": 3},
        "there is no `max_epoch`. Did you mean `trainer.max_epochs`?",
    ),
    "unknown argument of a callback": ({"IterativePruning.cycels": 3}, "no `cycels`. Did you mean `cycles`?"),
    "unknown key of the trainer": ({"trainer.max_epoch": 3}, "max_epoch"),
    "unknown key of the data": ({"data.batch_sise": 3}, "no `batch_sise`. Did you mean `batch_size`?"),
    "misspelt class": (
        {"callbacks": "LRRewnd"},
        "trainer.callbacks: given was `['LRRewnd']`, expected a dotted path (such as torch.nn.Linear) or null. Did you mean `LRRewind`?",
    ),
    "unknown module": ({"callbacks": "mine.nowhere.Policy"}, "mine.nowhere.Policy"),
    "unknown function": ({"criterion": "lightning_prune.criteria.magnitud"}, "magnitud"),
    "missing argument": ({"callbacks": "WeightRewind"}, "WeightRewind: `to` is missing"),
    "value out of range": ({"cycles": -1}, "cycles"),
    "value of another type": ({"cycles": "many"}, "given was `many`, expected int"),
    "a callback as a value": ({"IterativePruning": None}, "`IterativePruning` is a callback"),
    "seed": ({"seed_everything": 3}, "every arm runs with the study's `seeds`"),
    "nothing to leave out": ({"without": "LRRewind"}, "is not among the base's callbacks, which are IterativePruning"),
    "an argument below a number": (
        {"trainer.max_epochs.more": 3},
        "trainer.max_epochs: given was `{more=3}`, expected int or null.",
    ),
    "two devices": ({"trainer.devices": 2}, "Trainer(devices=...) has 2 devices"),
    "a search for nothing": ({"search": {"peek": [1]}}, "there is no `peek`"),
    "point after the end": (
        {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "9ep"}}},
        "WeightRewind(to=",
    ),
    "faulty network": ({"network.width": -3}, "RuntimeError: Trying to create tensor with negative dimension -3"),
}


@pytest.mark.parametrize(("wrong", "said"), ARMS.values(), ids=ARMS)
def test_an_arm_that_is_written_wrong_is_named_before_anything_is_trained(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=r"arm 'wrong'") as caught:
        Ablation.from_config(study({"wrong": wrong})).run(tmp_path / "out", workers=0)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 700
    assert not (tmp_path / "out" / "nodes").exists()


def test_an_arm_without_pruning_is_a_dense_run(tmp_path):
    config = small({"dense": {"without": "IterativePruning"}, "a": {}})
    frame = Ablation.from_config(config).run(tmp_path, workers=0)
    assert frame["error"].isna().all()
    dense = frame[frame["arm"] == "dense"].iloc[0]
    pruned = frame[(frame["arm"] == "a") & (frame["cycle"] == 0)].iloc[0]
    assert (dense["cycle"], dense["density"], dense["epochs"]) == (0, 1.0, 2)
    assert dense["val_last"] == pruned["val_last"]


def write(tmp_path, text=None, **changes):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    content = {"base": "base.yaml", "arms": {"a": {}, "b": {"cycles": 1}}, "seeds": [0], **changes}
    (tmp_path / "study.yaml").write_text(text or yaml.safe_dump(content))
    return tmp_path / "study.yaml"


def refusal(capsys, *words):
    """What the command says on the way out; it must be no traceback, and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["ablate", *map(str, words)])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.startswith("lightning-prune ablate: error: ")
    return said


def record(out, config, version=None):
    out.mkdir()
    from lightning_prune import __version__

    facts = {"version": version or __version__, "config": config}
    (out / "study.json").write_text(json.dumps(facts))


def test_the_command_says_what_is_wrong_and_ends_with_2(tmp_path, capsys):
    config, out = write(tmp_path), tmp_path / "out"
    (tmp_path / "file").touch()
    assert "is a file" in refusal(capsys, "--config", config, "--out", tmp_path / "file")
    assert "which is a file" in refusal(capsys, "--config", config, "--out", tmp_path / "file" / "inner")
    assert "workers=-1" in refusal(capsys, "--config", config, "--out", out, "--workers=-1")
    assert "does not exist" in refusal(capsys, "--config", tmp_path / "no.yaml", "--out", out)
    assert "is a folder" in refusal(capsys, "--config", tmp_path, "--out", out)
    assert "holds no keys" in refusal(capsys, "--config", write(tmp_path, "- a"), "--out", out)
    assert "'a' stands there twice" in refusal(capsys, "--config", write(tmp_path, TWICE), "--out", out)
    assert "no YAML" in refusal(capsys, "--config", write(tmp_path, "a: [1"), "--out", out)
    assert "no `cycels`" in refusal(capsys, "--config", write(tmp_path, arms={"a": {"cycels": 1}}), "--out", out)
    assert not out.exists()


def test_another_study_in_a_folder_is_told_apart_key_by_key(tmp_path, capsys):
    given = Ablation.from_config(write(tmp_path)).config.given
    record(tmp_path / "out", given)
    changed = write(tmp_path, arms={"a": {}, "b": {"cycles": 2}, "c": {}}, seeds=[0, 1])
    said = refusal(capsys, "--config", changed, "--out", tmp_path / "out")
    assert "arms.b.cycles: 1 became 2" in said
    assert "arms.c: new" in said
    assert "seeds: [0] became [0, 1]" in said
    assert "arms.a" not in said
    assert "--out" in said
    assert "--force" in said


def test_arms_in_a_list_are_told_apart_by_their_names(tmp_path, capsys):
    given = Ablation.from_config(write(tmp_path, arms=[{"name": "a"}, {"name": "b"}])).config.given
    record(tmp_path / "out", given)
    changed = write(tmp_path, arms=[{"name": "a", "cycles": 1}, {"name": "b"}, {"name": "c"}])
    said = refusal(capsys, "--config", changed, "--out", tmp_path / "out")
    assert "arms.a.cycles: new" in said
    assert "arms.c: new" in said


def test_a_folder_of_another_version_is_refused(tmp_path, capsys):
    config = write(tmp_path)
    record(tmp_path / "out", Ablation.from_config(config).config.given, version="0.0.1")
    said = refusal(capsys, "--config", config, "--out", tmp_path / "out")
    assert "was written by version 0.0.1" in said
    assert "--force" in said


def test_a_damaged_record_is_named(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text("{")
    said = refusal(capsys, "--config", write(tmp_path), "--out", tmp_path / "out")
    assert "study.json is damaged" in said
    with pytest.raises(
        ValueError, match=r"study.json is damaged .*\. Run the command of the study again with --force"
    ) as found:
        read_study(tmp_path / "out")
    assert str(found.value).partition(". ")[2] in said, "the report and the command say the same"
    (tmp_path / "out" / "study.json").write_text("[]")
    assert "not the record of a study" in refusal(capsys, "--config", write(tmp_path), "--out", tmp_path / "out")
    record(tmp_path / "other", {"arms": {}})
    with pytest.raises(ValueError, match="seeds: new"):
        Ablation.from_config(write(tmp_path)).run(tmp_path / "other")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch, capsys):
    # Whoever runs the tests may be allowed everything, so the question is answered for them.
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and allowed(path, mode))
    said = refusal(capsys, "--config", write(tmp_path), "--out", tmp_path / "new" / "out")
    assert f"{tmp_path} may not be written" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_command_in_a_process_of_its_own(tmp_path):
    words = ["ablate", f"--config={write(tmp_path, arms={'a': {'cycels': 1}})}", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_prune.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 2
    assert "Did you mean `pruning.cycles`?" in done.stderr
    assert "Traceback" not in done.stderr
