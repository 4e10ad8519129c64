"""On a cluster: the same numbers, nothing trained twice when a machine dies, and errors that say what is missing."""

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import clusters
import pandas as pd
import psutil
import pytest
import ray
import torch
import trails
from places import HELPERS
from studies import study, weights_of

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.running.engines import on_ray
from lightning_prune.ablation.running.engines.choice import make_engine
from lightning_prune.ablation.running.engines.on_ray import OnRay
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.training.job import Job

MEASURED_ANEW = ["seconds", "seconds_shared"]
EPOCHS = {"dense": 3, "cycle": 2}


def two_arms(more=None, cycles=2, **others):
    config = study({"kept": {}, "rewound": {"callbacks": "LRRewind"}, **(more or {})}, **others)
    callbacks = config["base"]["trainer"]["callbacks"]
    callbacks[0]["init_args"]["cycles"] = cycles
    callbacks.append({"class_path": "trails.Trail"})
    return Ablation.from_config(config)


def assert_same(frame, expected, out, expected_out):
    assert frame["error"].isna().all(), frame["error"].dropna().tolist()
    pd.testing.assert_frame_equal(
        frame.drop(columns=MEASURED_ANEW), expected.drop(columns=MEASURED_ANEW), check_exact=True
    )
    for checkpoint in [*frame["checkpoint"].dropna(), *frame["best_checkpoint"].dropna()]:
        own, other = weights_of(out / checkpoint), weights_of(expected_out / checkpoint)
        assert own.keys() == other.keys()
        assert all(torch.equal(own[name], other[name]) for name in own), checkpoint


@pytest.fixture
def closed_address():
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.slow
def test_a_cluster_comes_to_the_same_numbers_and_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # Ray itself would give a node a thread for each of its CPUs
    study = two_arms(cycles=1)
    with clusters.running({"num_cpus": 2, "num_gpus": 1}) as (address, _), ray.init(address, log_to_driver=False):
        monkeypatch.chdir(tmp_path)  # the workers start where the cluster was started
        monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
        frame = study.run("out", workers=0, engine="ray", address=address, cpus=2, gpus=0.25, store="out/store")
        assert ray.is_initialized(), "a connection of the user's own stays"
        _refuse_what_would_be_wrong(study, tmp_path / "out")
    assert_same(frame, study.run("here", workers=0, store="here/store"), tmp_path / "out", tmp_path / "here")
    trained_by = {pid for trail in trails.trails(tmp_path / "out" / "store").values() for _, pid in trail}
    assert trained_by
    assert os.getpid() not in trained_by
    assert not [*tmp_path.glob("out/locks/ray-*"), *tmp_path.glob("out/store/locks/ray-*")]
    assert len(list(tmp_path.glob("**/ray-*.log"))) == len(list(tmp_path.glob("out/logs/ray-*.log"))) > 0


def _refuse_what_would_be_wrong(study, out):
    """On the cluster of the quick test, whose workers are warm."""
    node = replace(study.runs[0].nodes()[0], key="another")
    engine = OnRay(workers=1, cpus=2, gpus=0.25)
    with Store(out).lock(node):
        engine.submit(Job(str(out), node))
        (outcome,) = engine.collect(60)
    assert outcome.busy, "who was thought dead may still be training"
    assert not Store(out).work(node).exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_ray, "versions", lambda: {"torch": "0.4.1"})
        engine.submit(Job(str(out), node))
    with pytest.raises(ValueError, match=r"has torch 2.* started with 0\.4\.1.*Install the same version"):
        engine.collect(60)
    engine.close()
    with pytest.raises(ValueError, match=r"cpus=64, gpus=0\) fits on no machine.*2 CPUs and 1 GPUs\. Ask for less"):
        OnRay(workers=1, cpus=64)
    with pytest.raises(ValueError, match="gpus=2.* fits on no machine"):
        OnRay(workers=1, gpus=2)
    assert [OnRay(workers=0, cpus=1, gpus=share).slots for share in (0, 0.5, 1)] == [2, 2, 1]


@pytest.mark.slow
def test_a_machine_that_is_killed_costs_no_finished_node_and_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study, out, pipe = two_arms(seeds=[0, 1]), tmp_path / "out", tmp_path / "pipe"
    expected = study.run(tmp_path / "local", workers=1)
    os.mkfifo(pipe)
    told, killed, handler = [], set(), signal.getsignal(signal.SIGTERM)

    def kill_when_told(node):
        told.append(int(pipe.read_text()))
        killed.update(clusters.kill(node))

    with clusters.running({}, {"env_vars": {trails.DOOMED: str(pipe)}}) as (address, nodes):
        threading.Thread(target=kill_when_told, args=[nodes[1]], daemon=True).start()
        frame = study.run(out, workers=0, engine="ray", address=address, every=0)
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert len(told) == 1
    assert told[0] in killed, "the process that trained belongs to the machine"
    assert_same(frame, expected, out, tmp_path / "local")
    found = trails.trails(out)
    assert found.keys() == set(frame["checkpoint"].dropna().map(lambda one: Path(one).parent.name))
    for name, trail in found.items():
        epochs = [epoch for epoch, _ in trail]
        if told[0] in dict(map(reversed, trail)):
            assert [epoch for epoch, pid in trail if pid == told[0]] == [0, 1, 2]
            assert [epoch for epoch, pid in trail if pid not in killed] == [2], "from its last checkpoint"
        else:
            assert len(epochs) == len(set(epochs)) == EPOCHS["dense" if "dense" in name else "cycle"]


@pytest.mark.slow
def test_a_node_that_kills_every_worker_is_reported_and_the_others_go_on(tmp_path):
    out = tmp_path / "out"
    with clusters.running({}) as (address, _):
        frame = two_arms({"deadly": {"callbacks": "trails.Deadly"}}).run(
            out, workers=0, engine="ray", address=address, every=0, errors="keep"
        )
    assert frame[frame["arm"] != "deadly"]["error"].isna().all()
    (error,) = frame[frame["arm"] == "deadly"]["error"]
    assert error.startswith("The worker died, and so did those that tried again (3 times).")
    (trail,) = trails.trails(out, "running").values()
    assert [epoch for epoch, _ in trail] == [0, 1, 1, 1, 1], "each goes on from the last checkpoint"


STOPPED = """
import sys
from test_ray import two_arms
two_arms().run(sys.argv[1], workers=0, engine="ray", address=sys.argv[2], every=0)
"""


@pytest.mark.slow
def test_ctrl_c_stops_what_runs_on_the_cluster(tmp_path):
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    with clusters.running({"env_vars": {trails.DOOMED: str(pipe)}}) as (address, _):
        study = subprocess.Popen(
            [sys.executable, "-c", STOPPED, str(out), address],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(HELPERS)])},
            stderr=subprocess.PIPE,
            text=True,
        )
        training = psutil.Process(int(pipe.read_text()))
        study.send_signal(signal.SIGINT)
        said = study.communicate(timeout=60)[1]
        assert said.strip().endswith("KeyboardInterrupt")
        assert psutil.wait_procs([training], timeout=10)[0], "it trains on, though nobody waits for it"
        assert not list(out.glob("locks/ray-*"))
        assert list(out.glob("running/*/last.ckpt")), "what it saved stays"


def test_no_cluster_says_how_to_start_one(monkeypatch, closed_address):
    with pytest.raises(ConnectionError, match=r"no running cluster at '127\.0\.0\.1:\d+' .*`ray start --head`"):
        OnRay(workers=1, address=closed_address)
    monkeypatch.setenv("RAY_ADDRESS", closed_address)
    with pytest.raises(ConnectionError, match=r"address=None\) finds no running cluster"):
        OnRay(workers=1)
    assert not ray.is_initialized()


def test_without_ray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-prune\[ray\]'"):
        make_engine("ray", 1, tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cpus": 0}, "cpus=0"),
        ({"cpus": float("nan")}, "cpus=nan"),
        ({"gpus": -1}, "gpus=-1"),
        ({"gpus": 1.5}, "gpus=1.5"),
    ],
)
def test_shares_that_cannot_be_given_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        OnRay(workers=1, **options)
