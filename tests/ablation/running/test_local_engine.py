"""Worker processes: results as in one process, deaths reported with their node, rooms made for new ones."""

import os
import signal
from pathlib import Path

import pytest
from killed_studies import small

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.running.engines.choice import make_engine
from lightning_prune.ablation.running.engines.local import Local
from lightning_prune.ablation.training.job import Job


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize("workers", [-1, 1.5, True, "two"])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path, workers):
    with pytest.raises(ValueError, match=r"Ablation.run\(workers=.*\) must be a whole number, at least 0"):
        Ablation.from_config(small()).run(tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Give 'local' or 'ray'"):
        make_engine("slurm", 1, tmp_path)


@pytest.mark.slow
def test_a_worker_that_dies_between_two_jobs_is_replaced(tmp_path):
    engine = Local(1, tmp_path / "logs")
    node = Ablation.from_config(small()).runs[0].nodes()[0]
    job = Job(str(tmp_path), node, every=0)
    engine.submit(job)
    outcomes = []
    while not outcomes:
        outcomes = engine.collect(1.0)
    assert outcomes[0].error is None, outcomes[0].details
    (worker,) = engine._workers
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    engine.submit(job)  # finished already
    outcomes = []
    while not outcomes:
        outcomes = engine.collect(1.0)
    engine.close()
    assert outcomes[0].error is None


@pytest.mark.slow
def test_a_worker_killed_for_memory_is_reported_with_its_node_and_the_others_go_on(tmp_path, monkeypatch):
    dying = {"callbacks": {"class_path": "killed_studies.DieOnce", "init_args": {"epoch": 1, "trap": "trap"}}}
    (tmp_path / "trap").touch()
    monkeypatch.setenv("TRAPS", str(tmp_path))
    ablation = Ablation.from_config(small({"dies": dying, "lives": {}}))
    frame = ablation.run(tmp_path / "out", workers=1, every=0, errors="keep")
    (error,) = frame[frame["arm"] == "dies"]["error"].dropna()
    name = ablation.runs[0].nodes()[0].name
    assert name in error
    assert "SIGKILL" in error
    assert "memory" in error
    assert Path(error.rsplit(" ", 1)[-1].rstrip(".")).is_file(), "the log that is named"
    assert frame[frame["arm"] == "lives"]["error"].isna().all()
    again = ablation.run(tmp_path / "out", workers=1, every=0)
    assert again["error"].isna().all(), "it is tried again, and the trap is gone"
