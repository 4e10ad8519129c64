"""Resumed at the end of any epoch, or within one, a run with moving masks ends as the uninterrupted one, bit for bit."""

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from moving_masks import MEMBERS, run
from resumed_runs import compare
from stateful_loaders import KeepsItsPlace
from toys import Images, equal, fit, toy

from lightning_prune import ACDC, IterativePruning, RigL

QUICK = ("rigl", "set", "acdc")
every_member = pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, make in MEMBERS.items()],
)
within_epochs = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


def train(make, folder, ckpt_path=None, **options):
    keep = ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    data = Images(shuffle=True)
    return run(make, keep, module=toy(), data=data, ckpt_path=ckpt_path, enable_checkpointing=True, **options)


@every_member
def test_from_the_end_of_every_epoch(make, tmp_path):
    train(make, tmp_path / "whole")
    for epoch in range(3):
        train(make, tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, 4)) == 3 - epoch


def within(make, folder, ckpt_path=None):
    keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    module = toy(optimizer=lambda p: torch.optim.AdamW(p, lr=0.01))
    options = {"enable_checkpointing": True, "accumulate_grad_batches": 2, "max_epochs": 5}
    return run(make, keep, module=module, data=KeepsItsPlace(), ckpt_path=ckpt_path, **options)


@within_epochs[0]
@within_epochs[1]
@pytest.mark.parametrize(
    "name", ["rigl", *(pytest.param(n, marks=pytest.mark.slow) for n in ("set by steps", "acdc by steps"))]
)
def test_from_within_an_epoch(name, tmp_path):
    whole, callback = within(MEMBERS[name], tmp_path / "whole")
    files = sorted((tmp_path / "whole").glob("*.ckpt"))
    steps = [step for file in files if (step := int(file.stem.removeprefix("step="))) % 3]
    assert len(steps) == 10
    for step in steps[1::2]:
        resumed, again = within(MEMBERS[name], tmp_path / f"{step}", tmp_path / "whole" / f"step={step}.ckpt")
        assert equal(resumed.lightning_module.state_dict(), whole.lightning_module.state_dict()), step
        assert equal(again.masks, callback.masks), step
        for one, other in zip(resumed.optimizers, whole.optimizers, strict=True):
            assert equal(one.state_dict(), other.state_dict()), step


def test_a_run_goes_on_with_its_arguments_or_not_at_all(tmp_path):
    train(MEMBERS["rigl"], tmp_path, max_epochs=2)
    with pytest.raises(ValueError, match=r"was saved with RigL\(.*sparsity=0.6.*resumed with RigL\(.*sparsity=0.7"):
        train(lambda: RigL(0.7, every="2it", until=0.8), tmp_path / "other", tmp_path / "epoch=1.ckpt")
    with pytest.raises(ValueError, match="of a run with RigL, which is missing among the callbacks"):
        fit([IterativePruning(cycles=1)], toy(), Images(), tmp_path / "epoch=1.ckpt")


def test_a_network_is_loaded_and_evaluated_as_it_was_trained(tmp_path):
    trainer, callback = train(MEMBERS["acdc"], tmp_path)
    module = toy()
    module.load_state_dict(torch.load(tmp_path / "epoch=3.ckpt", weights_only=True)["state_dict"])
    assert equal(dict(module.state_dict()), dict(trainer.lightning_module.state_dict()))
    again = ACDC(0.6, prune_at=["1ep", "3ep"], release_at=["2ep"])
    fresh = type(trainer)(accelerator="cpu", logger=False, callbacks=[again], enable_progress_bar=False)
    fresh.validate(module, Images(), verbose=False, ckpt_path=str(tmp_path / "epoch=3.ckpt"))
    assert callback.masks


def stopped_early(folder, ckpt_path=None, **options):
    """A fit that early stopping ends within its second epoch, as nothing is ever good enough."""
    stop = EarlyStopping("val_loss", patience=2, min_delta=1e9)
    keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    options = {"val_check_interval": 2, "enable_checkpointing": True, "max_epochs": 5, **options}
    run_with = {"module": toy(), "data": KeepsItsPlace(), "ckpt_path": ckpt_path, **options}
    return run(MEMBERS["rigl"], stop, keep, **run_with)[0]


@within_epochs[0]
@within_epochs[1]
@pytest.mark.parametrize("options", [{}, {"min_epochs": 3}], ids=["", "not before its least epochs"])
def test_what_early_stopping_has_decided_is_resumed(options, tmp_path):
    whole = stopped_early(tmp_path / "whole", **options)
    assert whole.current_epoch < 5
    for file in sorted((tmp_path / "whole").glob("*.ckpt"))[-2:]:
        resumed = stopped_early(tmp_path / file.stem, file, **options)
        assert (resumed.global_step, resumed.current_epoch) == (whole.global_step, whole.current_epoch)
        assert equal(resumed.lightning_module.state_dict(), whole.lightning_module.state_dict())


def test_masks_are_saved_also_where_nothing_was_left_to_train(tmp_path):
    whole, callback = train(MEMBERS["acdc"], tmp_path)
    resumed, again = train(MEMBERS["acdc"], tmp_path / "again", tmp_path / "epoch=3.ckpt")
    assert resumed.global_step == whole.global_step
    assert equal(again.state_dict()["living"], callback.state_dict()["living"])
