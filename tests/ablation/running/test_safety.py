"""A study that is killed anywhere and run again loses no finished node and comes to the same bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from killed_studies import COUNT, assert_same, epochs_counted, finished, killed, processes, run_until, small
from places import HELPERS

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.storage.folders import Store

EPOCHS = 2 + 2 * 2  # the dense run, and a cycle of each arm


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return Ablation.from_config(small()).run(out, workers=0, every=0), out


def run_again(tmp_path, monkeypatch):
    """Run the study once more, and see that nothing finished is trained again."""
    count = tmp_path / "again"
    monkeypatch.setenv(COUNT, str(count))
    before = finished(tmp_path / "out")
    frame = Ablation.from_config(small()).run(tmp_path / "out", workers=0, every=0)
    after = finished(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    return frame, epochs_counted(count)


MOMENTS = {
    "between two epochs of the dense run": ({"name": "last.ckpt", "times": 1}, EPOCHS),
    "after the first epoch of a cycle is saved": ({"name": "last.ckpt", "times": 3, "after": True}, 3),
    "when all is trained and nothing is written": ({"name": "last.ckpt", "times": 4, "after": True}, 2),
    "before the result is written": ({"name": "result.json", "times": 2}, 2),
    "before a whole node is put into its place": ({"name": "result.json", "times": 2, "after": True}, 2),
    "right after": ({"name": "seed=0-cycle", "times": 1, "after": True}, 2),
    "while the table is written": ({"name": "table.parquet", "times": 1}, 0),
}


QUICK = ("after the first epoch of a cycle is saved", "when all is trained and nothing is written")
CASES = [
    pytest.param(*case, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, case in MOMENTS.items()
]


@pytest.mark.parametrize(("moment", "left"), CASES)
def test_a_study_killed_at_a_chosen_moment_goes_on_from_there(tmp_path, whole, moment, left, monkeypatch):
    killed(small(), tmp_path / "out", count=tmp_path / "first", **moment)
    frame, trained = run_again(tmp_path, monkeypatch)
    assert len(trained) == left, trained
    assert_same(frame, tmp_path / "out", *whole)
    assert not list((tmp_path / "out" / "running").iterdir())


@pytest.mark.slow
def test_a_study_killed_at_any_rename_comes_to_the_same(tmp_path, whole, monkeypatch):
    for times in range(1, 34, 2):
        out = tmp_path / str(times)
        killed(small(), out / "out", name="", times=times)
        frame, _ = run_again(out, monkeypatch)
        assert_same(frame, out / "out", *whole)


@pytest.mark.slow
def test_a_half_written_checkpoint_of_a_machine_that_lost_power_is_not_gone_on_from(tmp_path, whole, monkeypatch):
    killed(small(), tmp_path / "out", name="last.ckpt", times=3, after=True)
    half = next((tmp_path / "out" / "running").glob("*/last.ckpt"))
    half.write_bytes(half.read_bytes()[:1000])
    frame, trained = run_again(tmp_path, monkeypatch)
    assert len(trained) == 4
    assert_same(frame, tmp_path / "out", *whole)


@pytest.mark.slow
def test_a_finished_node_whose_checkpoint_is_gone_is_named(tmp_path):
    killed(small(), tmp_path / "out", name="last.ckpt", times=3)
    gone = next((tmp_path / "out" / "nodes").glob("*/last.ckpt"))
    gone.unlink()
    frame = Ablation.from_config(small()).run(tmp_path / "out", workers=0, errors="keep")
    errors = frame["error"].dropna().tolist()
    assert len(errors) == 2
    assert all(str(gone.parent) in error and "missing" in error and "Delete" in error for error in errors)


@pytest.mark.slow
def test_two_processes_on_one_folder_train_nothing_twice(tmp_path, whole):
    arguments = (small(), tmp_path / "out")
    both = [
        processes().Process(target=run_until, args=arguments, kwargs={"count": tmp_path / f"count-{index}"})
        for index in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
        assert one.exitcode == 0
    trained = [line for index in range(2) for line in epochs_counted(tmp_path / f"count-{index}")]
    assert len(trained) == len(set(trained)) == EPOCHS
    assert_same(Ablation.from_config(small()).run(tmp_path / "out", workers=0), tmp_path / "out", *whole)


def hold(out, name, seconds):
    with FileLock(Path(out, "locks", f"{name}.lock")):
        Path(out, "held").touch()
        time.sleep(seconds)


@pytest.mark.slow
def test_a_lock_of_the_living_is_waited_for_and_one_of_the_dead_is_not(tmp_path, whole):
    ablation, out = Ablation.from_config(small()), tmp_path / "out"
    name = ablation.runs[0].nodes()[0].name
    (out / "locks").mkdir(parents=True)
    holder = processes().Process(target=hold, args=(out, name, 600))
    holder.start()
    while not (out / "held").exists():
        time.sleep(0.05)
    waiting = processes().Process(target=run_until, args=(small(), out))
    waiting.start()
    while not (out / "study.json").exists():
        time.sleep(0.05)
    waiting.join(2)
    assert waiting.is_alive()
    assert not finished(out)
    os.kill(holder.pid, signal.SIGKILL)
    waiting.join()
    assert waiting.exitcode == 0
    assert_same(ablation.run(out, workers=0), out, *whole)


def test_two_studies_that_need_other_notes_of_one_dense_run_keep_both(tmp_path):
    rewind = {"b": {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "1ep"}}}}
    one, two = Ablation.from_config(small({"a": {}})), Ablation.from_config(small(rewind))
    store, dense = Store(tmp_path), two.runs[0].nodes()[0]
    one.run(tmp_path, workers=0)
    assert store.result(dense) is None, "the first study did not need the snapshot"
    frame = two.run(tmp_path, workers=0, force=True)
    assert frame["error"].isna().all()
    third = {"c": {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "0ep"}}, "retrain": "2ep"}}
    assert Ablation.from_config(small(third)).run(tmp_path, workers=0, force=True)["error"].isna().all()
    assert len(store.result(dense)["notes"]) == 2, "what another study had kept is kept"


def command(tmp_path, *more):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small(seeds=[0, 1])))
    words = [
        "ablate",
        "--config",
        tmp_path / "study.yaml",
        "--out",
        tmp_path / "out",
        "--workers=2",
        "--every=0",
        *more,
    ]
    environment = {**os.environ, "PYTHONPATH": str(HELPERS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_prune.cli", *map(str, words)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def workers_of(process):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(one) for one in found.stdout.split()]


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"


@pytest.mark.slow
def test_kills_of_study_and_workers_at_random_lose_nothing_finished(tmp_path):
    dice = random.Random(0)
    expected_out = tmp_path / "expected"
    expected = Ablation.from_config(small(seeds=[0, 1])).run(expected_out, workers=0, every=0)
    kills = 0
    for _ in range(4):
        before = finished(tmp_path / "out")
        with command(tmp_path) as study:
            while study.poll() is None and not list((tmp_path / "out").glob("running/*/progress.json")):
                time.sleep(0.05)
            time.sleep(dice.uniform(0, 1))
            workers = workers_of(study)
            for pid in [*dice.sample(workers, k=dice.randint(0, len(workers))), study.pid]:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        deadline = time.monotonic() + 60
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(alive, workers)), "the workers of a killed study end"
        after = finished(tmp_path / "out")
        assert {name: after[name] for name in before} == before
    assert kills
    with command(tmp_path) as study:
        pass
    assert study.returncode == 0
    frame = Ablation.from_config(small(seeds=[0, 1])).run(tmp_path / "out", workers=0, force=True)
    assert_same(frame.drop(columns="hardware"), tmp_path / "out", expected.drop(columns="hardware"), expected_out)
