"""Studies that share a store of nodes train what they have in common once, and come to what they come to alone."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
import yaml
from killed_studies import COUNT, assert_same, epochs_counted, finished, killed, processes, run_until, small
from rich.console import Console

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.command import main
from lightning_prune.ablation.planning.node_content import dense_content
from lightning_prune.ablation.report.read_study import read_arm, read_study
from lightning_prune.ablation.sharing.node import key_of

ARMS = {"one": {"a": {}}, "two": {"b": {"callbacks": "LRRewind"}}}
REWIND = {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "1ep"}}}
DENSE, CYCLE = 2, 2  # epochs


pytestmark = pytest.mark.usefixtures("one_thread")


def ablation(name, **others):
    return Ablation.from_config(small(ARMS[name], **others))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Both studies, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("alone")
    return {name: (ablation(name).run(folder / name, workers=0, every=0), folder / name) for name in ARMS}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Both studies, one after the other with one store; and the epochs that each of them trained."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        for name in ARMS:
            patch.setenv(COUNT, str(folder / f"count-{name}"))
            ablation(name).run(folder / name, workers=0, every=0, store=folder / "store")
    return folder


@pytest.fixture
def copy(shared, tmp_path):
    """The folders of both studies and their store, at another place."""
    shutil.copytree(shared, tmp_path, dirs_exist_ok=True)
    return tmp_path


def assert_same_as_alone(folder, alone):
    for name, (expected, out) in alone.items():
        frame = ablation(name).run(folder / name, workers=0)
        paths = [*frame["checkpoint"].dropna(), *frame["best_checkpoint"].dropna()]
        assert len(paths) == 4
        assert all(path.startswith("../store/nodes/") and (folder / name / path).is_file() for path in paths)
        columns = ["checkpoint", "best_checkpoint"]
        inside = frame.assign(**{one: frame[one].str.removeprefix("../store/") for one in columns})
        assert_same(inside, folder / "store", expected, out)


def test_what_two_studies_share_is_trained_once_and_both_come_to_the_same(shared, alone, monkeypatch):
    again = shared / "count-again"
    monkeypatch.setenv(COUNT, str(again))
    assert len(epochs_counted(shared / "count-one")) == DENSE + CYCLE
    assert [line.split("-")[1].split("=")[0] for line in epochs_counted(shared / "count-two")] == ["cycle"] * CYCLE
    assert_same_as_alone(shared, alone)
    assert not epochs_counted(again), "without the store given, the one of the last time is used"
    for name in ARMS:
        assert {path.name for path in (shared / name).iterdir()} == {"arms", "study.json", "table.csv", "table.parquet"}
        assert json.loads((shared / name / "study.json").read_text())["store"] == "../store"
    assert {path.name for path in (shared / "store").iterdir()} == {"nodes", "running", "locks"}


@pytest.mark.slow
def test_two_studies_may_run_at_the_same_time(tmp_path, alone):
    both = [
        processes().Process(
            target=run_until,
            args=(small(arms), tmp_path / name),
            kwargs={"count": tmp_path / f"count-{name}", "store": tmp_path / "store"},
        )
        for name, arms in ARMS.items()
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
        assert one.exitcode == 0
    trained = [line for name in ARMS for line in epochs_counted(tmp_path / f"count-{name}")]
    assert len(trained) == len(set(trained)) == DENSE + 2 * CYCLE
    assert_same_as_alone(tmp_path, alone)


@pytest.mark.slow
def test_workers_train_into_the_store_and_log_into_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    frame = ablation("one").run("out", workers=1, store="store")
    assert frame["error"].isna().all()
    assert len(finished("store")) == 2
    assert {path.name for path in Path("out").iterdir()} >= {"logs", "study.json"}
    assert not Path("out", "nodes").exists()
    assert not Path("store", "logs").exists()


def test_a_study_and_its_store_can_be_moved_together_and_the_report_follows(copy):
    (copy / "other").mkdir()
    for name in ("one", "store"):
        (copy / name).rename(copy / "other" / name)
    study = read_study(copy / "other" / "one")
    run = read_arm(study, "a", 0)
    assert set(run.rows["epoch"].dropna()) == {0, 1, 2, 3}
    assert len(run.rates)
    before = finished(copy / "other" / "store")
    assert ablation("one").run(copy / "other" / "one", workers=0)["error"].isna().all()
    assert finished(copy / "other" / "store") == before


def test_the_folder_of_another_study_is_a_store(copy, alone):
    shutil.copytree(alone["one"][1], copy / "without")
    before = finished(copy / "without")
    assert ablation("two").run(copy / "new", workers=0, store=copy / "without")["error"].isna().all()
    after = finished(copy / "without")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1


def test_with_force_a_study_changes_its_store(copy, alone):
    shutil.copytree(alone["one"][1], copy / "without")
    for store, begin, recorded in (("store", "../store/nodes/", "../store"), ("without", "nodes/", None)):
        frame = ablation("one").run(copy / "without", workers=0, store=copy / store, force=True)
        assert frame["checkpoint"].dropna().str.startswith(begin).all()
        assert json.loads((copy / "without" / "study.json").read_text()).get("store") == recorded


def test_a_dry_run_shows_what_is_finished_in_the_store(shared, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small({"a": {}, "new": {"retrain": "1ep"}})))
    words = ["--config", tmp_path / "study.yaml", "--dry-run", "--out", tmp_path / "out", "--store", shared / "store"]
    main([str(word) for word in words])
    said = capsys.readouterr().out
    assert "shared by 2 done" in said
    assert "a done" in said
    assert "new done" not in said
    assert not (tmp_path / "out").exists()


def test_the_tree_shows_what_is_finished_in_the_store_of_the_last_time(shared, tmp_path):
    def shown(**places):
        with Console(file=StringIO()) as console, console.capture() as capture:
            console.print(ablation("one").tree(**places))
        return capture.get()

    assert shown(out=shared / "one").strip().endswith("done")
    assert shown(out=tmp_path, store=shared / "store").strip().endswith("done")
    assert shown(store=shared / "store").strip().endswith("done")
    assert "done" not in shown(out=tmp_path) + shown()


def test_the_command_hands_the_store_on(copy, capsys):
    (copy / "study.yaml").write_text(yaml.safe_dump(small(ARMS["two"])))
    before = finished(copy / "store")
    words = ["--config", copy / "study.yaml", "--out", copy / "new", "--store", copy / "store", "--workers=0"]
    main([str(word) for word in words])
    assert finished(copy / "store") == before
    facts = json.loads((copy / "new" / "study.json").read_text())
    assert facts["store"] == "../store"
    assert f"--store {copy / 'store'}" in facts["command"]


def test_nodes_that_were_judged_by_another_metric_are_not_taken_over(copy, alone):
    before = finished(copy / "store")
    frame = ablation("one", metric="val/loss").run(copy / "by loss", workers=0, store=copy / "store")
    assert frame["metric"].tolist() == ["val/loss"] * 2
    assert frame["val_last"].tolist() == alone["one"][0]["loss_last"].tolist()
    assert frame["epochs"].tolist() == [DENSE, CYCLE]
    assert len(finished(copy / "store")) == len(before) + 2
    assert_same_as_alone(copy, alone)


def test_without_a_metric_keys_are_what_they_were(alone):
    (run,) = ablation("one").runs
    dense, cycle = run.nodes()
    assert dense.key == key_of({"parent": None, "seed": 0, "content": dense_content(run.resolved, False)})
    assert cycle.parent == dense.key


def test_a_study_that_needs_more_of_a_dense_run_takes_nothing_from_the_others(copy, alone):
    frame = Ablation.from_config(small({"c": REWIND})).run(copy / "three", workers=0, store=copy / "store")
    assert frame["error"].isna().all()
    assert_same_as_alone(copy, alone)


@pytest.mark.slow
def test_a_study_killed_while_it_trains_a_shared_node_again_leaves_the_others_whole(copy, alone):
    for times in (1, 2):
        arguments = {"name": "last.ckpt", "times": times, "store": copy / "store"}
        killed(small({"c": REWIND}), copy / "three", **arguments)
        assert_same_as_alone(copy, alone)
