"""What lies in the folders of nodes is data: damaged it is named, planted it runs nothing, half there it is waited for."""

import json
import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from killed_studies import finished, small

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.running.loop import Running
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.storage.notes import harmless_notes
from lightning_prune.ablation.training.node_measurement import NodeEnd
from lightning_prune.basics.write_whole import sweep

REWIND = {"class_path": "lightning_prune.WeightRewind", "init_args": {"to": "1ep"}}
CLOCK = "lightning_prune.IterativePruning"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    Ablation.from_config(small({"a": {}})).run(out, workers=0)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "out"))


def node(out, kind):
    (found,) = (out / "nodes").glob(f"*-{kind}*")
    return found


def flip_a_bit(path):
    """Change one bit of the largest record of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda one: one.file_size)
        with archive.open(record) as stream:
            begin = stream._orig_compress_start
    content = bytearray(path.read_bytes())
    content[begin + record.file_size // 2] ^= 64
    path.write_bytes(content)


def test_a_parent_with_one_changed_bit_is_named_and_not_gone_on_from(copy):
    shutil.rmtree(node(copy, "cycle"))
    dense = node(copy, "dense")
    flip_a_bit(dense / "last.ckpt")
    study = Ablation.from_config(small({"a": {}}))
    (error,) = study.run(copy, workers=0, errors="keep")["error"].dropna()
    assert f"{dense / 'last.ckpt'} is damaged (" in error
    assert f"Delete {dense}, and run the study again" in error
    shutil.rmtree(dense)
    assert study.run(copy, workers=0)["error"].isna().all()


def test_a_node_whose_own_last_checkpoint_changed_begins_again_from_its_parent(copy, whole):
    shutil.rmtree(copy / "running", ignore_errors=True)
    (copy / "running").mkdir()
    shutil.move(node(copy, "cycle"), copy / "running")
    (work,) = (copy / "running").iterdir()
    (work / "result.json").unlink()
    flip_a_bit(work / "last.ckpt")
    assert Ablation.from_config(small({"a": {}})).run(copy, workers=0)["error"].isna().all()
    rows = [json.loads((node(out, "cycle") / "result.json").read_text())["rows"] for out in (copy, whole)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("text", ["[]", "{}", '{"notes": {}, "rows": []}', '{"notes": 3, "rows": [{"cycle": 0}]}'])
def test_a_result_of_another_shape_names_the_folder_to_delete(copy, text):
    (node(copy, "dense") / "result.json").write_text(text)
    with pytest.raises(
        ValueError, match=rf"result.json is not what a node leaves behind\. Delete {node(copy, 'dense')}"
    ):
        Ablation.from_config(small({"a": {}})).run(copy, workers=0)


@pytest.mark.parametrize("text", ["[]", "{}", '{"node": 3}', '{"node": {"notes": []}}', "\x00"])
def test_a_job_of_another_shape_is_begun_anew(tmp_path, text):
    store, dense = Store(tmp_path), Ablation.from_config(small({"a": {}})).runs[0].nodes()[0]
    store.work(dense).mkdir(parents=True)
    (store.work(dense) / "job.json").write_text(text)
    (store.work(dense) / "last.ckpt").touch()
    assert store.take_up(dense).notes == dense.notes
    assert not list(store.work(dense).iterdir())


def planted(file):
    """Notes that would write a file, by every way that a parser knows."""
    call = {"class_path": "os.system", "init_args": {"command": f"touch {file}"}}
    clock = {"cycles": 1, "retrain": "1ep"}
    return {
        "bare": call,
        "inside": {"class_path": CLOCK, "init_args": {**clock, "criterion": call}},
        "as text": {"class_path": CLOCK, "init_args": {**clock, "criterion": json.dumps(call)}},
        "deeper": {
            "class_path": CLOCK,
            "init_args": {
                **clock,
                "sparsity": {"class_path": "lightning_prune.Geometric", "init_args": {"fraction": call}},
            },
        },
        "of the package": {"class_path": "lightning_prune.lab.runs.chosen_checkpoint.Path", "init_args": {"a": 1}},
        "another import": {"class_path": CLOCK, "init_args": {**clock, "criterion": "antigravity.fly"}},
        "other arguments": {**REWIND, "dict_kwargs": call},
    }


def test_notes_of_a_file_run_nothing_that_the_file_names(tmp_path):
    study, file = Ablation.from_config(small({"a": {}})), tmp_path / "written"
    dense = study.runs[0].nodes()[0]
    work = tmp_path / "out" / "running" / dense.name
    work.mkdir(parents=True)
    (work / "job.json").write_text(json.dumps({"node": {"notes": {**planted(file), "rewind": REWIND}}}))
    assert study.run(tmp_path / "out", workers=0)["error"].isna().all()
    assert not file.exists()
    left = json.loads((node(tmp_path / "out", "dense") / "result.json").read_text())["notes"]
    assert list(left) == ["rewind"], "what another study has kept stays kept"


def test_notes_of_a_finished_node_run_nothing_either(copy, tmp_path):
    path = node(copy, "dense") / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "notes": {**planted(tmp_path), "rewind": REWIND}}))
    dense = Ablation.from_config(small({"a": {}})).runs[0].nodes()[0]
    assert list(Store(copy).with_old_notes(dense).notes) == ["rewind"]


def test_notes_of_this_package_are_kept_with_their_arguments():
    prunable = {
        "class_path": "lightning_prune.Prunable",
        "init_args": {"include": ["net.0*"], "types": ["torch.nn.Linear"]},
    }
    clock = {"criterion": "lightning_prune.criteria.movement", "prunable": prunable, "seed": 3, "during": None}
    notes = {"rewind": REWIND, "movement": {"class_path": CLOCK, "init_args": clock}}
    assert harmless_notes(notes) == notes


def test_a_node_that_is_published_while_its_progress_is_read_does_not_end_the_study(tmp_path, monkeypatch):
    study = Ablation.from_config(small({"a": {}}))
    running = Running(Store(tmp_path), study.runs, None, 0.0)
    dense = study.runs[0].nodes()[0]
    work = running.store.work(dense)
    work.mkdir(parents=True)
    (work / "progress.json").write_text('{"epochs": 1}')
    left = running.outlook([dense]).epochs_left
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    shutil.rmtree(work)
    assert running.outlook([dense]).epochs_left == left + 1


def test_the_best_epoch_of_a_cycle_is_one_that_was_measured(tmp_path, monkeypatch):
    values = iter([float("nan"), 0.5, float("nan"), 0.7, 0.6])
    end = NodeEnd(tmp_path, last=0, whole=True, metric="val/accuracy")
    trainer = type("Trainer", (), {"optimizers": [], "callbacks": [], "saved": []})()
    trainer.save_checkpoint = lambda path, weights_only: trainer.saved.append(end.rows[0]["epochs"])
    monkeypatch.setattr("lightning_prune.ablation.training.node_measurement._rates", lambda trainer: [0.1])
    for step in range(5):
        value = next(values)
        trainer.global_step = step
        trainer.callback_metrics = {
            "val/accuracy": type("T", (), {"item": lambda _, v=value: v, "numel": lambda _: 1})()
        }
        end._note(trainer)
    assert (end.rows[0]["val_best"], end.rows[0]["best_epoch"], trainer.saved) == (0.7, 4, [1, 2, 4])


def test_what_killed_processes_have_left_is_swept_away(copy):
    dead, here = subprocess.Popen(["true"]), platform.node()
    dead.wait()
    names = {
        f"study.json.{here}-{dead.pid}.new": False,
        f"arms/a.yaml.{here}-{dead.pid}.new": False,
        "table.csv.another-machine-17.new": True,
        "table.csv.4711.new": True,
        f"table.parquet.{here}-{os.getpid()}.new": True,
        f"table.parquet.{here}-1.new": True,
    }
    for name in names:
        (copy / name).touch()
    for folder in (copy, copy / "arms"):
        sweep(folder)
    assert {name: (copy / name).exists() for name in names} == names
    os.utime(copy / "table.csv.4711.new", (0, 0))
    (copy / f"study.json.{here}-{dead.pid}.new").touch()
    Ablation.from_config(small({"a": {}})).run(copy, workers=0)
    assert not (copy / "table.csv.4711.new").exists()
    assert not (copy / f"study.json.{here}-{dead.pid}.new").exists()


def test_finished_nodes_stay_where_nothing_is_wrong(copy):
    before = finished(copy)
    assert Ablation.from_config(small({"a": {}})).run(copy, workers=0)["error"].isna().all()
    assert finished(copy) == before
