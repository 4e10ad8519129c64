"""``--workers auto``: which number is chosen, what is kept of the trial, and that nothing is trained twice."""

import json
from pathlib import Path

import pytest
from killed_studies import COUNT, epochs_counted, small

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.running.engines import auto
from lightning_prune.ablation.running.engines.auto import Auto, tried_workers
from lightning_prune.ablation.running.engines.choice import make_engine
from lightning_prune.ablation.running.engines.local import Local, Worker, memory_share
from lightning_prune.ablation.running.engines.trial import FILE, Trial, read_trial, write_trial
from lightning_prune.ablation.sharing.node import Node
from lightning_prune.ablation.training.job import Job, Outcome


@pytest.mark.parametrize(
    ("speeds", "most", "tried", "chosen"),
    [
        ([100, 200, 400, 410], 16, [1, 2, 4, 8], 8),
        ([100, 200, 150], 16, [1, 2, 4], 2),
        ([100, 90], 16, [1, 2], 1),
        ([100, 200, 390, 580], 6, [1, 2, 4, 6], 6),
        ([100], 1, [1], 1),
        ([100, 0], 16, [1, 2], 1),
    ],
)
def test_more_workers_are_tried_while_they_train_more(speeds, most, tried, chosen):
    trial, seen = Trial(most), []
    for speed in speeds:
        assert not trial.is_over
        seen.append(trial.level)
        trial.note(trial.level, speed)
    assert (trial.is_over, seen, trial.level) == (True, tried, chosen)


def test_a_trial_goes_on_where_it_stopped_and_only_on_the_same_device(tmp_path):
    trial = Trial(8, "cpu", {1: 100.0, 2: 190.0})
    write_trial(tmp_path, trial)
    assert read_trial(tmp_path, 8, "cpu") == trial
    assert read_trial(tmp_path, 8, "H100").speeds == {}
    assert read_trial(tmp_path, 4, "cpu").speeds == {}
    (tmp_path / FILE).write_text("[1")
    assert read_trial(tmp_path, 8, "cpu").speeds == {}


@pytest.mark.parametrize("workers", range(1, 20))
def test_the_shares_of_memory_leave_room_for_the_processes_themselves(workers):
    for devices in (0, 1, 2, 8):
        beside = -(-workers // max(devices, 1))
        assert 0 < beside * memory_share(workers, devices) <= 1.0
        assert memory_share(workers, devices) < 1.0 or beside == 1


def test_a_cluster_does_not_try_numbers_of_workers(tmp_path):
    with pytest.raises(ValueError, match=r"workers='auto'\) finds the number on this machine"):
        make_engine("ray", "auto", tmp_path)


class Instant(Worker):
    """A worker without a process, which is done at once, at a speed that depends on the number of workers."""

    def __init__(self, index, threads, log):
        self.index, self.job, self.finished, self.given = index, None, 0, []
        self.process = self
        self.stdout = None

    def poll(self):
        return None

    def begin(self, job, share):
        self.job = job
        self.given.append((job.node.key, share))

    def stop(self):
        pass


def job(key):
    return Job("nowhere", Node(str(key), None, 0, 0, 0, False, 1, {}))


class Bench:
    """Drives an engine of instant workers, all of which end their nodes together."""

    def __init__(self, monkeypatch, out, most, speeds, fails=()):
        monkeypatch.setattr("lightning_prune.ablation.running.engines.local.Worker", Instant)
        monkeypatch.setattr(auto, "cores", lambda: most)
        monkeypatch.setattr(Local, "collect", lambda engine, seconds: self.end(engine))
        self.speeds, self.fails, self.count, self.passed = speeds, fails, 0, []
        self.engine = Auto(Path(out), Path(out))

    def end(self, engine):
        busy = [one for one in engine._workers if one.job is not None]
        ended = []
        for one in busy:
            error = "OutOfMemoryError: CUDA out of memory" if len(busy) in self.fails else None
            ended.append(Outcome(one.job.node.key, error, images=int(self.speeds[len(busy)]), seconds=len(busy)))
            one.job, one.finished = None, one.finished + 1
        return ended

    def run(self, nodes):
        waiting, running = list(range(nodes)), set()
        while waiting or running:
            while waiting and len(running) < self.engine.slots:
                key = waiting.pop(0)
                self.engine.submit(job(key))
                running.add(str(key))
            for outcome in self.engine.collect(1.0):
                running.remove(outcome.key)
                self.passed.append((outcome.key, outcome.error))


def test_every_number_is_measured_with_warm_workers_and_the_best_is_kept(tmp_path, monkeypatch):
    bench = Bench(
        monkeypatch, tmp_path, most=8, speeds={1: 100, 2: 190, 3: 250, 4: 300, 5: 290, 6: 290, 7: 290, 8: 290}
    )
    bench.run(80)
    assert bench.engine.trial.speeds == {1: 100.0, 2: 190.0, 4: 300.0, 8: 290.0}
    assert bench.engine.slots == 4
    assert sorted(int(key) for key, _ in bench.passed) == list(range(80)), "each node once"
    content = json.loads((tmp_path / FILE).read_text())
    assert content["chosen"] == 4
    again = Bench(monkeypatch, tmp_path, most=8, speeds=bench.speeds)
    assert again.engine.slots == 4
    assert again.engine.trial.is_over


def test_a_number_without_room_is_given_up_and_its_nodes_are_trained_with_fewer(tmp_path, monkeypatch):
    bench = Bench(monkeypatch, tmp_path, most=8, speeds={1: 100, 2: 190, 3: 200, 4: 300}, fails=(3, 4))
    bench.run(40)
    assert bench.engine.trial.speeds == {1: 100.0, 2: 190.0, 4: 0.0}
    assert bench.engine.slots == 2
    assert [error for _, error in bench.passed if error] == []
    assert sorted(int(key) for key, _ in bench.passed) == list(range(40))


@pytest.mark.slow
def test_a_study_with_auto_has_the_table_of_one_worker_and_trains_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(COUNT, str(tmp_path / "count"))
    config = small(seeds=[0, 1, 2])
    found = Ablation.from_config(config).run(tmp_path / "auto", workers="auto", every=0)
    counted = epochs_counted(tmp_path / "count")
    assert len(counted) == len(set(counted))
    monkeypatch.delenv(COUNT)
    expected = Ablation.from_config(config).run(tmp_path / "one", workers=1, every=0)
    columns = [name for name in expected if not name.startswith("seconds")]
    assert found[columns].equals(expected[columns])
    assert tried_workers(tmp_path / "auto").startswith("Workers: ")
