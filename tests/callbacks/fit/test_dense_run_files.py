"""The file of a dense run: read once and let go of, whole and over, and not needed any more by a fit that resumes."""

import os

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from toys import STEPS, Images, Rates, equal, fit, toy

from lightning_prune import FineTune, IterativePruning, LRRewind, WeightRewind
from lightning_prune.callbacks.fit.dense_run import read_dense_run


@pytest.fixture
def dense(tmp_path):
    trainer = fit([IterativePruning(cycles=0), WeightRewind(to="1ep")], toy(), max_epochs=2)
    trainer.save_checkpoint(tmp_path / "dense.ckpt")
    return tmp_path / "dense.ckpt"


def prune(path, *beside, **options):
    module = toy()
    pruning = IterativePruning(cycles=2, dense_run=path)
    fit([pruning, WeightRewind(to="1ep"), *beside], module, Images(), max_epochs=0, **options)
    return module.state_dict()


class Meddles(Callback):
    """Does something to the file when the first cycle has begun."""

    def __init__(self, path, change):
        self.path, self.change = path, change

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 2:
            self.change(self.path)


def overwrite(path):
    with path.open("r+b") as file:  # in place, as a copy over it does: the same file
        file.write(os.urandom(path.stat().st_size))


def truncate(path):
    os.truncate(path, 100)


def delete(path):
    path.unlink()


@pytest.mark.parametrize("change", [overwrite, truncate, delete])
def test_what_becomes_of_the_file_after_the_start_changes_nothing(change, dense):
    undisturbed = prune(dense)
    assert equal(prune(dense, Meddles(dense, change)), undisturbed)
    assert not dense.is_file() or dense.read_bytes()[:2] != b"PK" or change is truncate


def test_another_file_than_the_callback_was_made_with_is_refused_when_the_fit_starts(dense):
    pruning = IterativePruning(cycles=1, retrain="1ep", dense_run=dense)
    fit([IterativePruning(cycles=0)], toy(), max_epochs=1).save_checkpoint(dense)
    with pytest.raises(ValueError, match="another file than when the callback was made: the dense run in it had 2ep"):
        fit([pruning], toy(), max_epochs=0)


@pytest.mark.parametrize("pruned", [True, False], ids=["with IterativePruning", "without"])
def test_a_dense_run_that_went_by_steps_is_as_long_as_that(pruned, tmp_path):
    """Eight steps, six in an epoch: the cycles replay those eight, as those of one fit do."""
    one, later = Rates(), Rates()
    fit([IterativePruning(cycles=1), LRRewind(), one], toy(), max_epochs=-1, max_steps=8)
    callbacks = [IterativePruning(cycles=0)] if pruned else []
    fit(callbacks, toy(), max_epochs=-1, max_steps=8).save_checkpoint(tmp_path / "dense.ckpt")
    pruning = IterativePruning(cycles=1, dense_run=tmp_path / "dense.ckpt")
    fit([pruning, LRRewind(), later], toy(), max_epochs=0)
    assert len(one.steps) == 16
    assert later.steps == one.steps[8:]


def keep(folder, **options):
    return ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **options)


def test_a_checkpoint_of_the_middle_is_no_dense_run(tmp_path):
    fit([IterativePruning(cycles=0), keep(tmp_path / "ours", every_n_train_steps=3)], toy(), max_epochs=3)
    fit([keep(tmp_path / "plain", every_n_train_steps=4)], toy(), max_epochs=3)
    for step, when in ((3, "after 0ep of 3ep"), (6, "after 1ep of 3ep"), (15, "after 2ep of 3ep")):
        with pytest.raises(ValueError, match=f"was saved {when}, and a dense run has to be over. Give its last"):
            IterativePruning(dense_run=tmp_path / "ours" / f"step={step}.ckpt")
    for step, epoch in ((4, 1), (8, 2), (16, 3)):
        with pytest.raises(ValueError, match=f"was saved within epoch {epoch}, and a dense run has to be over"):
            IterativePruning(dense_run=tmp_path / "plain" / f"step={step}.ckpt")
    for folder, step in (("ours", 18), ("plain", 12)):  # saved after the last batch of an epoch, before its end
        length = read_dense_run(tmp_path / folder / f"step={step}.ckpt").length
        assert (length.amount, length.unit) == (step // STEPS, "ep")


def test_a_run_of_steps_that_is_not_over_is_refused(tmp_path):
    fit([IterativePruning(cycles=0), keep(tmp_path, every_n_train_steps=4)], toy(), max_epochs=-1, max_steps=8)
    with pytest.raises(ValueError, match="was saved after 4it of 8it, and a dense run has to be over"):
        IterativePruning(dense_run=tmp_path / "step=4.ckpt")
    assert str(read_dense_run(tmp_path / "step=8.ckpt").length) == "8it"


def test_a_dense_run_that_early_stopping_ended_is_over(tmp_path):
    stop = EarlyStopping("val_loss", patience=1, min_delta=10.0)
    trainer = fit([IterativePruning(cycles=0, early_stopping="run"), stop], toy(), max_epochs=8)
    assert trainer.current_epoch < 8
    trainer.save_checkpoint(tmp_path / "dense.ckpt")
    pruning = IterativePruning(cycles=1, retrain="1ep", dense_run=tmp_path / "dense.ckpt")
    fit([pruning, FineTune()], toy(), max_epochs=0)
    assert pruning.measured_sparsity > 0


def test_a_fit_that_resumes_does_not_need_the_file_any_more(dense):
    folder = dense.parent

    def run(name, ckpt_path=None):
        each = ModelCheckpoint(folder / name, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        module = toy()
        callbacks = [IterativePruning(cycles=2, dense_run=dense), WeightRewind(to="1ep"), each]
        fit(callbacks, module, Images(shuffle=True), ckpt_path, max_epochs=0)
        return module.state_dict()

    whole = run("whole")
    dense.unlink()
    assert equal(run("resumed", folder / "whole" / "epoch=0.ckpt"), whole)
    with pytest.raises(ValueError, match=r"dense.ckpt'\) is neither a length, such as '160ep', nor a file"):
        run("anew")


def test_the_optimizer_of_a_dense_run_is_not_shared_with_the_file(dense):
    """What was handed over lies in memory of its own: the next fit of the same callback's file starts the same."""
    before = torch.load(dense, weights_only=True)
    first = prune(dense)
    assert equal(torch.load(dense, weights_only=True), before)
    assert equal(prune(dense), first)
