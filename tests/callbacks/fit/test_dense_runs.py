"""cycles=0: the dense run alone is the run without the callbacks, whatever ends it, lengthens it or goes with it."""

import json

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import BackboneFinetuning, EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from toys import STEPS, Toy, equal, fit, toy
from transfer_learning import Transfer

from lightning_prune import IterativePruning

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")


def finished(folder):
    (file,) = folder.rglob("pruning.json")
    return json.loads(file.read_text())["finished"]


class Plateaus(Toy):
    def validation_step(self, batch, index):
        self.log("val_loss", torch.tensor(1.0))


def test_early_stopping_ends_a_dense_run_as_it_does_without_the_callbacks(tmp_path):
    plain = fit([EarlyStopping("val_loss", patience=1)], Plateaus(), max_epochs=5)
    stopping = EarlyStopping("val_loss", patience=1)
    ours = fit([stopping, IterativePruning(cycles=0)], Plateaus(), max_epochs=5, logger=CSVLogger(tmp_path))
    assert plain.current_epoch == ours.current_epoch == 2
    assert stopping.stopped_epoch == 1
    assert finished(tmp_path)


def test_a_dense_run_is_resumed_for_longer(tmp_path):
    fit([IterativePruning(cycles=0)], toy(), max_epochs=2).save_checkpoint(tmp_path / "x.ckpt")
    again = fit([IterativePruning(cycles=0)], toy(), max_epochs=3, ckpt_path=tmp_path / "x.ckpt")
    assert again.global_step == 3 * STEPS
    with pytest.raises(ValueError, match="(?s)cannot resume.*dense: the checkpoint has '2ep', this run '3ep'"):
        fit([IterativePruning(1, "1ep")], toy(), max_epochs=3, ckpt_path=tmp_path / "x.ckpt")


def test_a_dense_run_of_no_epochs_trains_nothing():
    module = toy()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert fit([IterativePruning(cycles=0)], module, max_epochs=0).global_step == 0
    assert equal(dict(module.state_dict()), before)


def test_a_backbone_may_be_unfrozen_whenever_where_nothing_is_pruned():
    trainer = fit([IterativePruning(cycles=0), BackboneFinetuning(9)], Transfer(), max_epochs=1)
    assert trainer.current_epoch == 1


@pytest.mark.parametrize("options", [{"max_steps": 5, "max_epochs": None}, {"max_epochs": 1}], ids=["steps", "epochs"])
@pytest.mark.parametrize("retrain", [None, "3it"])
def test_a_dense_run_that_is_over_is_finished_on_record(options, retrain, tmp_path):
    fit([IterativePruning(cycles=0, retrain=retrain)], toy(), logger=CSVLogger(tmp_path), **options)
    assert finished(tmp_path)


def test_a_dense_run_that_was_stopped_is_not(tmp_path):
    class Stops(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = True

    for unit in ({"max_steps": 5, "max_epochs": None}, {"max_epochs": 2}):
        folder = tmp_path / str(len(unit))
        fit([IterativePruning(cycles=0), Stops()], toy(), logger=CSVLogger(folder), **unit)
        assert not finished(folder)


@pytest.mark.filterwarnings("ignore:.*this fit will run with no optimizer")
def test_a_dense_run_without_an_optimizer_goes_through_as_it_does_in_lightning():
    class Idle(Toy):
        def configure_optimizers(self):
            return None

    assert fit([IterativePruning(cycles=0)], Idle(), max_epochs=1).current_epoch == 1
