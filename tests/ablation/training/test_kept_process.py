"""A process that trains one node after the other: each node as in a fresh process, and nothing of it stays."""

import gc
import os
import random
import sys
import warnings
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from studies import study, weights_of
from torch.nn.modules import module as modules

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.running.engines.local import Local
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.training.job import Job
from lightning_prune.ablation.training.kept import Kept
from lightning_prune.ablation.training.node_config import config_of
from lightning_prune.ablation.training.train_node import train
from lightning_prune.lab import Digits

READ = {
    "dtype": torch.get_default_dtype,
    "device": torch.get_default_device,
    "threads": torch.get_num_threads,
    "gradients": torch.is_grad_enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "precision": torch.get_float32_matmul_precision,
    "anomaly": torch.is_anomaly_enabled,
    "benchmark": lambda: torch.backends.cudnn.benchmark,
    "hooks": lambda: len(modules._global_forward_hooks),
    "filters": lambda: list(warnings.filters),
    "environment": lambda: dict(os.environ),
    "folder": os.getcwd,
    "path": lambda: list(sys.path),
    "random": random.getstate,
    "numpy": lambda: np.random.get_state()[1].tolist(),  # noqa: NPY002
    "torch": lambda: torch.get_rng_state().tolist(),
}


class Careless(pl.Callback):
    """Changes everything that a process has only one of."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def on_train_end(self, trainer, pl_module):
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_float32_matmul_precision("medium")
        torch.autograd.set_detect_anomaly(True)
        modules.register_module_forward_hook(lambda module, given, found: None)
        warnings.simplefilter("ignore")
        os.environ["CARELESS"] = "1"
        os.environ.pop("OMP_NUM_THREADS", None)
        sys.path.append("/careless")
        os.chdir("/")
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        if self.fails:
            raise ArithmeticError("careless")


def short(**others):
    """The config of a study with a dense run of one epoch and a cycle of one."""
    config = study({"a": {}}, **others)
    config["base"]["trainer"]["max_epochs"] = 1
    config["base"]["trainer"]["callbacks"][0]["init_args"] = {"cycles": 1, "retrain": "1ep"}
    return config


def jobs(out, **changes):
    """The dense run and the cycle of a study, as jobs."""
    config = short(**{key: changes.pop(key) for key in ("seeds",) if key in changes})
    config["base"]["data"]["init_args"] |= changes.pop("data", {})
    config["base"]["trainer"] |= changes.pop("trainer", {})
    config["base"]["trainer"]["callbacks"] += changes.pop("callbacks", [])
    dense, cycle = Ablation.from_config(config).runs[0].nodes()
    return [Job(str(out), dense, every=0), Job(str(out), cycle, parent=dense.name, every=0)]


def weights(out, job):
    return weights_of(Store(out).nodes / job.node.name / "last.ckpt")


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def passed(outcome):
    assert outcome.error is None, outcome.details


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The weights of the nodes of two unlike studies, with nothing kept between them."""
    out = tmp_path_factory.mktemp("fresh")
    every = unlike(out)
    for job in every:
        passed(train(job))
    return [weights(out, job) for job in every]


def unlike(out):
    return [*jobs(out, seeds=[0]), *jobs(out, seeds=[5], data={"subset": 250, "seed": 3, "batch_size": 25})]


@pytest.mark.parametrize(
    "order", [(0, 1, 2, 3), *(pytest.param(one, marks=pytest.mark.slow) for one in [(2, 3, 0, 1), (2, 0, 3, 1)])]
)
def test_a_node_in_a_process_that_trained_others_has_the_bits_of_a_fresh_one(tmp_path, fresh, order):
    every, kept = unlike(tmp_path), Kept()
    for place in order:
        passed(train(every[place], kept))
    for job, expected in zip(every, fresh, strict=True):
        assert_equal(weights(tmp_path, job), expected)


def test_other_seeds_of_an_arm_are_parsed_once_and_trained_as_alone(tmp_path, monkeypatch):
    kept, parsed, config = Kept(), [], short(seeds=[0, 1, 2])
    parse = sys.modules[Kept.__module__].parse
    monkeypatch.setattr(f"{Kept.__module__}.parse", lambda *given: parsed.append(given) or parse(*given))
    every = [
        Job(str(tmp_path / "kept"), node, parent=None if node.parent is None else run.nodes()[0].name, every=0)
        for run in Ablation.from_config(config).runs
        for node in run.nodes()
    ]
    for job in every:
        passed(train(job, kept))
    assert len(parsed) == 2, "one for the dense runs, one for the cycles"
    for job in every:
        alone = Job(str(tmp_path / "alone"), job.node, parent=job.parent, every=0)
        passed(train(alone))
        assert_equal(weights(tmp_path / "kept", job), weights(tmp_path / "alone", alone))
        place = Path("nodes", job.node.name, "config.yaml")
        texts = [(tmp_path / name / place).read_text().replace(str(tmp_path / name), "") for name in ("kept", "alone")]
        assert texts[0] == texts[1]


def test_objects_made_again_have_the_arguments_and_hyperparameters_of_a_new_parsing(tmp_path):
    first, other = jobs(tmp_path, seeds=[0])[1], jobs(tmp_path, seeds=[7])[1]
    kept = Kept()
    kept.parse(config_of(first, tmp_path / "first"), "first")
    made = kept.parse(config_of(other, tmp_path / "other"), "other")
    new = Kept().parse(config_of(other, tmp_path / "other"), "other")
    assert made.parser is not new.parser
    assert made.parser.dump(made.config) == new.parser.dump(new.config)
    assert dict(made.model.hparams) == dict(new.model.hparams)
    assert made.trainer.logger.log_dir == new.trainer.logger.log_dir
    assert_equal(made.model.state_dict(), new.model.state_dict())
    assert [vars(one).get("seed") for one in made.trainer.callbacks] == [
        vars(one).get("seed") for one in new.trainer.callbacks
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fails", [False, True])
def test_a_node_leaves_the_settings_of_its_process_as_they_were(tmp_path, fails):
    careless = [{"class_path": "test_kept_process.Careless", "init_args": {"fails": fails}}]
    job = jobs(tmp_path, callbacks=careless, trainer={"deterministic": True, "benchmark": True})[0]
    before = {name: read() for name, read in READ.items()}
    outcome = train(job, Kept())
    after = {name: read() for name, read in READ.items()}
    assert (outcome.error or "").startswith("ArithmeticError") is fails, outcome.details
    assert [name for name in READ if before[name] != after[name]] == []


def test_no_network_and_no_trainer_stays_behind_a_node(tmp_path):
    kept, every = Kept(), unlike(tmp_path)
    passed(train(every[0], kept))
    gc.collect()
    before = alive()
    for job in every[1:]:
        passed(train(job, kept))
        gc.collect()
        assert alive() == before


def alive():
    """How many trainers and networks there are in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of objects that warn when they are looked at
        return sum(isinstance(one, pl.Trainer | pl.LightningModule) for one in gc.get_objects())


def test_images_are_loaded_once_and_again_if_somebody_changed_them(tmp_path, monkeypatch):
    loads, load = [], Digits.load
    monkeypatch.setattr(Digits, "load", lambda data: loads.append(1) or load(data))
    kept = Kept()
    dense, cycle = jobs(tmp_path)
    passed(train(dense, kept))
    passed(train(cycle, kept))
    assert len(loads) == 1
    kept._images[1].train.images.zero_()
    passed(train(jobs(tmp_path, seeds=[9])[0], kept))
    assert len(loads) == 2


class Brighter(Digits):
    """A data module of a user, who changes the images in place when the module is set up."""

    def setup(self, stage):
        is_new = self._source is None
        super().setup(stage)
        if is_new:
            self.source.train.images.add_(1)


def test_images_of_a_users_own_data_module_are_never_kept(tmp_path):
    config = short(seeds=[0, 1])
    config["base"]["data"]["class_path"] = "test_kept_process.Brighter"
    runs, kept = Ablation.from_config(config).runs, Kept()
    make = partial(Job, every=0)
    for out, keeping in ((tmp_path / "kept", kept), (tmp_path / "alone", None)):
        for run in runs:
            passed(train(make(str(out), run.nodes()[0]), keeping))
    for run in runs:
        job = make("", run.nodes()[0])
        assert_equal(weights(tmp_path / "kept", job), weights(tmp_path / "alone", job))


@pytest.mark.slow
def test_a_worker_process_trains_unlike_nodes_in_both_orders_as_a_fresh_one(tmp_path, fresh, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    for name, order in (("one", (0, 1, 2, 3)), ("other", (2, 3, 0, 1))):
        engine, every = Local(1, tmp_path / "logs"), unlike(tmp_path / name)
        try:
            for place in order:
                engine.submit(every[place])
                outcomes = []
                while not outcomes:
                    outcomes = engine.collect(1.0)
                passed(outcomes[0])
            assert len({one.process.pid for one in engine._workers}) == 1
        finally:
            engine.close()
        for job, expected in zip(every, fresh, strict=True):
            assert_equal(weights(tmp_path / name, job), expected)
