"""Processes that train a study and are killed, and what is compared when it has been run again."""

import multiprocessing
import os
import signal
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from studies import study, weights_of

from lightning_prune.ablation import Ablation

COUNT = "COUNT_EPOCHS_IN"


class Counting(pl.Callback):
    """Writes a line for every epoch that is trained, by any process."""

    def on_train_epoch_start(self, trainer, pl_module):
        if COUNT in os.environ:
            with Path(os.environ[COUNT]).open("a") as file:
                file.write(f"{Path(trainer.log_dir).name} {trainer.current_epoch}\n")


class DieOnce(pl.Callback):
    """Kills its process in an epoch, as the system does when memory runs out, while a file is there; or always."""

    def __init__(self, epoch: int, trap: str = "") -> None:
        self.epoch = epoch
        self.trap = trap

    def on_train_epoch_start(self, trainer, pl_module):
        trap = Path(os.environ.get("TRAPS", "/nowhere"), self.trap) if self.trap else None
        if trainer.current_epoch == self.epoch and (trap is None or trap.exists()):
            if trap is not None:
                trap.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def small(arms=None, **others):
    """Two arms, a dense run of two epochs, a cycle of two."""
    config = study(arms or {"a": {}, "b": {"callbacks": "LRRewind"}}, **others)
    trainer = config["base"]["trainer"]
    trainer["max_epochs"] = 2
    trainer["callbacks"][0]["init_args"] = {"cycles": 1, "retrain": "2ep"}
    trainer["callbacks"].append("killed_studies.Counting")
    return config


def run_until(config, out, name=None, times=1, after=False, workers=0, count=None, store=None):
    """Run a study in this process, which kills itself when a file of that name is put into its place."""
    torch.set_num_threads(1)
    if count:
        os.environ[COUNT] = str(count)
    rename, seen = Path.replace, []

    def replace(path, target):
        hit = name is not None and name in Path(target).name
        seen.extend([target] if hit else [])
        if hit and len(seen) == times and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = rename(path, target)
        if hit and len(seen) == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = replace
    Ablation.from_config(config).run(out, workers=workers, every=0, store=store)


def processes():
    """Processes that begin fast, because one that has imported everything divides into them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kills"])
    with pytest.MonkeyPatch.context() as patch:  # the path of the tests, which the server does not take over
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ensure_running()
    return context


def killed(config, out, **moment):
    process = processes().Process(target=run_until, args=(config, out), kwargs=moment)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the moment did not come: {process.exitcode}"


def finished(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in Path(out, "nodes").glob("*/result.json")}


def epochs_counted(path):
    return path.read_text().splitlines() if path.exists() else []


def assert_same(frame, out, other, other_out):
    for frames in (frame, other):
        assert frames["error"].isna().all(), frames["error"].dropna().tolist()
    columns = [name for name in frame if name not in ("seconds", "seconds_shared")]
    assert frame[columns].equals(other[columns]), frame[columns].compare(other[columns])
    for column in ("checkpoint", "best_checkpoint"):
        for name in frame[column].dropna():
            one, two = weights_of(Path(out, name)), weights_of(Path(other_out, name))
            assert all(torch.equal(one[key], two[key]) for key in [*one, *two])
