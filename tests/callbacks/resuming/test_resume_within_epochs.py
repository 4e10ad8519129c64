"""Resumed from within an epoch, with a loader that keeps its place, a run ends as the uninterrupted one."""

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from policies_in_runs import POLICIES
from stateful_loaders import KeepsItsPlace
from toys import Rates, equal, fit, step_decay, toy

from lightning_prune import IterativePruning

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


def run(folder, policy, scheduler, ckpt_path=None):
    rates = Rates()
    keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    length = None if policy()[0].rewind_point is not None else "2ep"
    callbacks = [IterativePruning(cycles=3, retrain=length), *policy(), rates, keep]
    module = toy(scheduler=scheduler)
    trainer = fit(
        callbacks,
        module,
        KeepsItsPlace(),
        ckpt_path,
        enable_checkpointing=True,
        max_epochs=3,
        accumulate_grad_batches=2,
    )
    return trainer, rates


@pytest.mark.parametrize("policy", ["rewind the rate", "rewind both apart", "one cycle", "rewind the weights"])
def test_stopped_after_any_step_within_an_epoch_it_ends_the_same(policy, tmp_path):
    whole, rates = run(tmp_path / "whole", POLICIES[policy], step_decay)
    per_epoch = 3
    compared = 0
    for file in (tmp_path / "whole").glob("*.ckpt"):
        step = int(file.stem.removeprefix("step="))
        # After its last step of an epoch, but before its end, Lightning leaves out what was to come in that epoch.
        if step % per_epoch:
            resumed, again = run(tmp_path / f"from {step}", POLICIES[policy], step_decay, file)
            assert again.steps == rates.steps[step:], step
            assert equal(resumed.lightning_module.state_dict(), whole.lightning_module.state_dict()), step
            assert resumed.global_step == whole.global_step
            compared += 1
    assert compared >= 12
