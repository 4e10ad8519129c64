"""A limit of time ends the whole run wherever it strikes; with more time, the run ends as the uninterrupted one."""

import json

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from toys import Images, Rates, equal, fit, toy
from watched import LIVING, POLICIES, alive, each_step, every_policy

from lightning_prune import IterativePruning

pytestmark = pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")


class Clock(Callback):
    """A second for each batch, in place of the time of the day."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", self)

    def monotonic(self):
        return self.now

    def on_train_batch_start(self, *_):
        self.now += 1


def run(monkeypatch, folder, policy="one cycle", ckpt_path=None, beside=(), **options):
    """Train 4 dense epochs and two cycles of 2, of 6 steps each, until time is up."""
    rates = Rates()
    keep = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks = [IterativePruning(cycles=2, retrain="2ep"), POLICIES[policy](), rates, Clock(monkeypatch), keep]
    trainer = fit(
        [*callbacks, *beside],
        toy(scheduler=each_step),
        Images(shuffle=True),
        ckpt_path,
        enable_checkpointing=True,
        logger=CSVLogger(folder, name="", version="log"),
        **options,
    )
    return trainer, rates.lr()


def is_finished(folder):
    return json.loads((folder / "log" / "pruning.json").read_text())["finished"]


@pytest.mark.parametrize(("seconds", "cycle"), [(3, 0), (24, 0), (25, 1), (36, 1), (42, 2), (47, 2), (48, 2)])
def test_time_ends_the_run_and_prunes_nothing_that_is_not_retrained(seconds, cycle, monkeypatch, tmp_path):
    trainer, rates = run(monkeypatch, tmp_path, max_time={"seconds": seconds})
    assert trainer.global_step == len(rates) == seconds
    assert alive(trainer.lightning_module) == LIVING[cycle]
    assert is_finished(tmp_path) is (seconds == 48)
    assert trainer.max_epochs == 4


@pytest.mark.parametrize("seconds", [20, 39])
def test_a_timer_of_whole_epochs_ends_the_run_at_the_end_of_one(seconds, monkeypatch, tmp_path):
    timer = Timer(duration={"seconds": seconds}, interval="epoch")
    trainer, _ = run(monkeypatch, tmp_path, beside=[timer])
    assert trainer.global_step == -(-seconds // 6) * 6
    assert alive(trainer.lightning_module) == LIVING[0 if seconds <= 24 else 1 if seconds <= 36 else 2]
    assert not is_finished(tmp_path)


@every_policy
def test_with_more_time_the_run_ends_as_the_uninterrupted_one(policy, monkeypatch, tmp_path):
    whole, rates = run(monkeypatch, tmp_path / "whole", policy)
    assert is_finished(tmp_path / "whole")
    for seconds in (12, 24, 36, 42):
        folder = tmp_path / f"{seconds}"
        run(monkeypatch, folder, policy, max_time={"seconds": seconds})
        again, others = run(monkeypatch, folder, policy, ckpt_path=folder / "last.ckpt", max_time={"seconds": 1000})
        assert others == rates[seconds:], seconds
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict()), seconds
        assert is_finished(folder)


@pytest.mark.slow
@every_policy
def test_stopped_within_an_epoch_it_goes_on_with_the_next_and_prunes_as_scheduled(policy, monkeypatch, tmp_path):
    """As Lightning does without these callbacks: what was left of that epoch is left out."""
    for seconds in (15, 27):
        folder = tmp_path / f"{seconds}"
        run(monkeypatch, folder, policy, max_time={"seconds": seconds})
        again, others = run(monkeypatch, folder, policy, ckpt_path=folder / "last.ckpt", max_time={"seconds": 1000})
        assert again.current_epoch == 8
        assert len(others) == 48 - seconds - 3
        assert alive(again.lightning_module) == LIVING[2]
        assert is_finished(folder)


def test_a_run_without_time_left_trains_nothing_more(monkeypatch, tmp_path):
    stopped, _ = run(monkeypatch, tmp_path, max_time={"seconds": 36})
    again, rates = run(monkeypatch, tmp_path, ckpt_path=tmp_path / "last.ckpt", max_time={"seconds": 36})
    assert rates == []
    assert equal(again.lightning_module.state_dict(), stopped.lightning_module.state_dict())
    assert not is_finished(tmp_path)
    assert again.max_epochs == 4
