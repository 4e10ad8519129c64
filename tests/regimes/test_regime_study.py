"""A study of regimes from its config to its page: what is trained, what is shared, and what is measured."""

from pathlib import Path

import clusters
import pandas as pd
import pytest
import ray
import torch
import yaml

import lightning_prune
from lightning_prune.cli import main
from lightning_prune.regimes.study import RegimeStudy

pytestmark = pytest.mark.usefixtures("one_thread")

SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}}
CONFIG = {
    "name": "small",
    "base": {
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "pruning": {"cycles": 1, "retrain": "1ep", "allocation": "layerwise"},
        "model": {
            "class_path": "Classifier",
            "init_args": {"network": {"class_path": "LeNet300100", "init_args": {"inputs": 64}}, "optimizer": SGD},
        },
        "data": {"class_path": "Digits", "init_args": {"batch_size": 64, "subset": 256, "validation": 0.25}},
    },
    "seeds": [3],
    "temperatures": {"trainer.max_epochs": [1, 2]},
    "densities": [0.1],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    made = RegimeStudy.from_config(CONFIG)
    made.run(out, workers=0)
    return made, out


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def rows_of(out):
    table = pd.read_csv(out / "retrained" / "seed=3" / "table.csv")
    return table[table["cycle"] == 1].set_index("arm")


def checkpoint(out, arm):
    return out / "retrained" / "seed=3" / rows_of(out).loc[arm, "checkpoint"]


@pytest.mark.slow
def test_one_dense_run_serves_all_its_checkpoints(study):
    _, out = study
    dense = pd.read_csv(out / "dense" / "table.csv")
    assert dense["epochs"].tolist() == [2]
    early, late = sorted((out / "starts").glob("*epoch=1.ckpt")), sorted((out / "starts").glob("*end.ckpt"))
    last = weights(out / "dense" / dense["checkpoint"].iloc[0])
    assert all(torch.equal(weights(late[0])[name], one) for name, one in last.items())
    assert any(not torch.equal(weights(early[0])[name], one) for name, one in last.items())


@pytest.mark.slow
@pytest.mark.parametrize(("temperature", "start"), [("1 epoch", "*epoch=1.ckpt"), ("2 epochs", "*end.ckpt")])
def test_copies_are_pruned_by_the_weights_of_their_checkpoint_and_differ(study, temperature, start):
    _, out = study
    dense = weights(next((out / "starts").glob(start)))
    copies = [weights(checkpoint(out, f"{temperature}, density 0.1, copy {copy}")) for copy in (1, 2)]
    for name in [name for name in dense if name.endswith("weight")]:
        scores = dense[name].abs().flatten()
        alive = torch.zeros_like(scores).index_fill(0, scores.topk(int((copies[0][name] != 0).sum())).indices, 1)
        for one in copies:
            assert bool((alive.view_as(one[name])[one[name] != 0] == 1).all())
            assert (one[name] != 0).float().mean() == pytest.approx(0.1, abs=0.01)
    assert any(not torch.equal(copies[0][name], copies[1][name]) for name in dense)


@pytest.mark.slow
def test_what_is_done_is_not_done_again(study, monkeypatch):
    made, out = study
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix in (".ckpt",)}
    monkeypatch.setattr("lightning_prune.regimes.study.pairs.barrier", None)
    again = RegimeStudy.from_config(CONFIG).run(out, workers=0)
    pd.testing.assert_frame_equal(again, made.map.pairs)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix in (".ckpt",)} == before


@pytest.mark.slow
def test_a_cluster_comes_to_the_same_table(study, tmp_path, monkeypatch):
    _, expected = study
    made = RegimeStudy.from_config(CONFIG)
    with clusters.running({"num_cpus": 2}) as (address, _), ray.init(address, log_to_driver=False):
        monkeypatch.chdir(tmp_path)
        made.run("out", workers=0, engine="ray", address=address, cpus=1)
    one, other = (pd.read_csv(out / "regimes.csv") for out in (expected, tmp_path / "out"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_the_table_is_what_the_functions_measure(study):
    made, out = study
    from lightning_prune.lab import Classifier, Digits, LeNet300100

    data = Digits(batch_size=64, subset=256, validation=0.25)
    data.prepare_data()
    data.setup("fit")
    copies = [checkpoint(out, f"1 epoch, density 0.1, copy {copy}") for copy in (1, 2)]
    network = Classifier(LeNet300100(inputs=64), lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    found = lightning_prune.regimes.measure(*copies, data, network=network)
    row = made.map.pairs.iloc[0]
    assert (row["lmc"], row["cka"]) == pytest.approx((found.lmc, found.cka), abs=1e-6)
    errors = 1 - rows_of(out).loc[[f"1 epoch, density 0.1, copy {copy}" for copy in (1, 2)], "test_last"]
    assert row["error"] == pytest.approx(errors.mean())


@pytest.mark.slow
def test_settings_of_the_dense_run_do_not_reach_the_retraining(tmp_path):
    decay = {"model.optimizer.weight_decay": [10.0, 0.0]}
    config = {**CONFIG, "temperatures": decay, "retrain": {"pruning.retrain": "1ep"}}
    RegimeStudy.from_config(config).run(tmp_path, workers=0)
    saved = torch.load(checkpoint(tmp_path, "weight decay 10.0, density 0.1, copy 1"), weights_only=True)
    (group,) = saved["optimizer_states"][0]["param_groups"]
    assert group["weight_decay"] == 0
    assert group["momentum"] == 0.9


@pytest.mark.slow
def test_the_command_plans_runs_and_advises(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(CONFIG))
    main(["regimes", "--config", "small.yaml", "--dry-run"])
    assert "1 dense run, 4 retrained copies, 2 pairs to measure." in capsys.readouterr().out
    assert not Path("runs").exists()
    main(["regimes", "--config", "small.yaml", "--out", "out", "--workers", "0"])
    printed = capsys.readouterr().out
    assert "At density 0.1: prune the network of" in printed
    assert "out/report/index.html" in printed
    main(["regimes", "--advise", "out", "--density", "0.1"])
    assert "Regime II" in capsys.readouterr().out
