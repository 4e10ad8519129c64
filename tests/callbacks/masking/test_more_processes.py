"""Resumed on several processes, on another number of them, and started by every launcher."""

import json
import os
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from places import HELPERS
from processes import in_processes
from runs_on_processes import held, run
from toys import Images, Rates, Toy, equal, make_trainer, step_decay

from lightning_prune import IterativePruning, LRRewind, OneCycleRetrain, random

pytestmark = pytest.mark.filterwarnings("ignore")  # what Lightning says of resuming and of samplers

POLICIES = {"rewind": LRRewind, "one cycle": lambda: OneCycleRetrain(max_lr=0.05)}


def train(folder, policy, ckpt_path=None, max_epochs=4, module=None, seed=1):
    """Train on as many processes as the group has, eight images on each; every rank draws in its own way."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    seed_everything(0, verbose=False)
    module = module or Toy(scheduler=step_decay, plain=True)
    rates = Rates()
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    trainer = make_trainer(
        [IterativePruning(cycles=2, retrain="2ep"), POLICIES[policy](), rates, keep], devices=processes,
        strategy="ddp" if processes > 1 else "auto", max_epochs=max_epochs, enable_checkpointing=True,
    )  # fmt: skip
    seed_everything(seed + int(os.environ.get("LOCAL_RANK", 0)), verbose=False)
    trainer.fit(module, datamodule=Images(), ckpt_path=ckpt_path)
    if trainer.is_global_zero:
        (folder / "rates.json").write_text(json.dumps(rates.lr()))


def train_with_dropout(folder, ckpt_path=None, seed=1):
    train(folder, "one cycle", ckpt_path, module=Toy(dropout=0.5), seed=seed)


def saved(folder, epoch):
    content = torch.load(folder / f"epoch={epoch}.ckpt", weights_only=True)
    parts = {name: content[name] for name in ("state_dict", "optimizer_states", "global_step")}
    return {**parts, "generators": content["callbacks"]["ExactResume"]["generators"]}


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_every_process_goes_on_drawing_where_it_was(processes, tmp_path):
    in_processes(processes, train_with_dropout, tmp_path / "whole")
    for epoch in (1, 5):
        folder = tmp_path / f"from {epoch}"
        in_processes(processes, train_with_dropout, folder, tmp_path / "whole" / f"epoch={epoch}.ckpt", 99)
        one, other = (saved(where, 7) for where in (tmp_path / "whole", folder))
        assert equal(one["generators"], other["generators"])
        assert len(one["generators"]) == processes
        if processes == 2:
            assert equal(one, other), epoch
        for name, tensor in one["state_dict"].items():  # a sum of three is rounded by its order, which DDP finds anew
            assert torch.allclose(tensor, other["state_dict"][name], atol=1e-6), name


@pytest.mark.parametrize("policy", POLICIES)
def test_resumed_on_two_processes_and_on_one_again_a_cycle_keeps_its_rates(policy, tmp_path):
    first, second, third = (tmp_path / name for name in ("one", "two", "one again"))
    train(first, policy)
    rates = json.loads((first / "rates.json").read_text())
    in_processes(2, train, second, policy, first / "epoch=1.ckpt")
    train(third, policy, second / "epoch=4.ckpt")
    halved, again = (json.loads((folder / "rates.json").read_text()) for folder in (second, third))
    assert len(rates) == 8 * 6
    assert len(halved) == 6 * 3
    assert len(again) == 3 * 6
    if policy == "rewind":  # by epoch: two of the dense run, then twice two that repeat them
        expected = [0.01, 0.001] * 3
        assert halved == pytest.approx([rate for rate in expected for _ in range(3)])
        assert again == pytest.approx([rate for rate in expected[3:] for _ in range(6)])
    else:
        assert halved[-1] == halved[11] == pytest.approx(0.05 / 10_000)
        assert max(halved[6:12]) == max(halved[12:]) == pytest.approx(0.05)
        assert again[5] == again[-1] == pytest.approx(0.05 / 10_000)  # in the middle of the first cycle it went on
        assert again[0] == pytest.approx(rates[30])
    for folder in (first, second, third):
        state = saved(folder, 7)["state_dict"]
        assert sum(int((state[f"net.{i}.weight"] == 0).sum()) for i in (1, 3)) == 624 - round(0.64 * 624)


@pytest.mark.parametrize(
    ("strategy", "processes"),
    [
        pytest.param("ddp_notebook", 2, marks=pytest.mark.slow),
        pytest.param("ddp_fork", 3, marks=pytest.mark.slow),
        pytest.param("ddp_spawn", 3, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("criterion", [random])
def test_every_launcher_gives_every_process_the_same_masks(strategy, processes, criterion, tmp_path):
    run(tmp_path, processes, criterion, strategy=strategy)
    for cycle in (1, 2):
        ranks = held(tmp_path, cycle)
        assert len(ranks) == processes
        assert all(rank == ranks[0] for rank in ranks)
    assert json.loads((tmp_path / "log" / "pruning.json").read_text())["finished"]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_that_a_script_starts_hold_the_same_masks(processes, tmp_path):
    script = HELPERS / "ddp_script.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(processes)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for cycle in (1, 2):
        ranks = held(tmp_path, cycle)
        assert len(ranks) == processes
        assert all(rank == ranks[0] for rank in ranks)
    assert json.loads((tmp_path / "log" / "pruning.json").read_text())["finished"]
