"""Checkpoints of every trigger of ModelCheckpoint: the sparsity of their step, and the last one resumes."""

from datetime import timedelta

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback, ModelCheckpoint
from toys import Images, equal, toy
from watched import LIVING, run

TRIGGERS = {  # and the steps that are saved
    "steps": ({"every_n_train_steps": 5}, range(5, 49, 5)),
    "epochs": ({"every_n_epochs": 2}, range(12, 49, 12)),
    "epochs, after validation": ({"every_n_epochs": 1, "save_on_train_epoch_end": False}, range(6, 49, 6)),
    "epochs, at their end": ({"every_n_epochs": 1, "save_on_train_epoch_end": True}, range(6, 49, 6)),
    "time": ({"train_time_interval": timedelta(0)}, range(1, 49)),
}


@pytest.mark.parametrize(
    ("trigger", "last"),
    [
        *((trigger, True) for trigger in list(TRIGGERS)[:3]),
        ("epochs, at their end", "link"),
        pytest.param("epochs, at their end", True, marks=pytest.mark.slow),
        pytest.param("time", True, marks=pytest.mark.slow),
    ],
)
def test_checkpoints_of_every_trigger_have_the_sparsity_of_their_step_and_the_last_resumes(trigger, last, tmp_path):
    options, steps = TRIGGERS[trigger]

    def trained(folder, limit, **others) -> Trainer:
        keep = ModelCheckpoint(tmp_path / folder, filename="{step}", save_top_k=-1, save_last=last, **options)
        stops = LambdaCallback(on_train_epoch_end=lambda trainer, _: stop_after(trainer, limit))
        data = Images(shuffle=True)
        return run("one cycle", beside=[keep, stops], data=data, enable_checkpointing=True, **others)[0]

    whole = trained("whole", limit=8)
    files = {path.stem: torch.load(path, weights_only=True) for path in (tmp_path / "whole").glob("*.ckpt")}
    assert set(files) == {"last"} | {f"step={step}" for step in steps}
    for saved in files.values():
        toy().load_state_dict(saved["state_dict"], strict=True)
        step = saved["global_step"]
        assert alive_in(saved["state_dict"]) == LIVING[0 if step <= 24 else 1 if step <= 36 else 2], step
    if trigger.startswith("epochs"):
        trained("part", limit=6)
        again = trained("again", limit=8, ckpt_path=tmp_path / "part" / "last.ckpt")
        assert again.global_step == 48
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


def stop_after(trainer, epochs):
    trainer.should_stop = trainer.should_stop or trainer.current_epoch + 1 == epochs


def alive_in(state):
    return sum(int(state[f"net.{i}.weight"].count_nonzero()) for i in (0, 4, 7))
