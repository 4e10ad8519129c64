"""Early stopping beside cycles: what it decided is in every checkpoint, and the dense run is that without the callbacks."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from stateful_loaders import KeepsItsPlace
from toys import Images, Rates, Toy, equal, fit, plateau, toy

from lightning_prune import IterativePruning, LRRewind, WeightRewind
from lightning_prune.callbacks.fit.dense_run import read_dense_run

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


class Flat(Toy):
    """Its validation loss never falls."""

    def validation_step(self, batch, index):
        self.log("val_loss", torch.tensor(1.0))


class Weights(Callback):
    """Notes the first weight after each batch of the dense run, and what was logged when each epoch began."""

    def __init__(self):
        self.dense, self.epochs = [], 0

    def on_train_batch_end(self, trainer, pl_module, *_):
        clock = next((c for c in trainer.callbacks if isinstance(c, IterativePruning)), None)
        if clock is None or clock.cycle is None:
            self.dense.append(float(pl_module.net[0].weight.detach().flatten()[0]))

    def on_train_epoch_end(self, *_):
        self.epochs += 1


def run(callbacks, folder, ckpt_path=None, **options):
    rates, weights = Rates(), Weights()
    keep = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    torch.manual_seed(0)
    given = {"max_epochs": 4, "logger": CSVLogger(folder, name="", version=""), **options}
    trainer = fit([*callbacks, rates, weights, keep], Flat(), Images(), ckpt_path, **given)
    return trainer, rates.steps, weights


@pytest.mark.parametrize(
    "arguments",
    [{"retrain": "4ep"}, {"retrain": "24it"}, {"early_stopping": "run", "retrain": "4ep"}, {"during": "0ep:2ep"}],
)
@pytest.mark.parametrize("options", [{}, {"val_check_interval": 0.5}])
def test_a_run_that_early_stopping_ended_has_nothing_left_when_it_is_resumed(arguments, options, tmp_path):
    def callbacks():
        return [EarlyStopping("val_loss", patience=1), IterativePruning(cycles=2, **arguments)]

    whole, steps, weights = run(callbacks(), tmp_path / "whole", **options)
    assert len(steps) < (72 if "retrain" in arguments else 24), "the case must end early"
    again, more, epochs = run(callbacks(), tmp_path / "again", tmp_path / "whole" / "last.ckpt", **options)
    assert more == []
    assert epochs.epochs == 0
    assert again.current_epoch == whole.current_epoch == weights.epochs
    assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


def test_a_run_that_early_stopping_ended_goes_on_with_more_cycles(tmp_path):
    def callbacks(cycles):
        return [EarlyStopping("val_loss", patience=1), IterativePruning(cycles=cycles, retrain="4ep")]

    whole, steps, _ = run(callbacks(3), tmp_path / "three", max_epochs=3)
    _, before, _ = run(callbacks(2), tmp_path / "two", max_epochs=3)
    again, after, _ = run(callbacks(3), tmp_path / "again", tmp_path / "two" / "last.ckpt", max_epochs=3)
    assert before + after == steps
    assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


@pytest.mark.parametrize("options", [{"max_epochs": 4}, {"max_epochs": -1, "max_steps": 24}])
@pytest.mark.parametrize("least", [{}, {"min_epochs": 2}, {"min_steps": 10}])
def test_stopped_within_an_epoch_the_dense_run_is_that_without_the_callbacks(options, least, tmp_path):
    def stopping():
        return EarlyStopping("val_loss", patience=1)

    given = {"val_check_interval": 2, **options, **least}
    _, steps, weights = run([stopping()], tmp_path / "plain", **given)
    trained, all_steps, ours = run([stopping(), IterativePruning(cycles=2, retrain="2ep")], tmp_path / "ours", **given)
    assert len(weights.dense) < 24, "the case must end early"
    assert ours.dense == weights.dense
    assert all_steps[: len(steps)] == steps
    assert trained.global_step == len(steps) + 2 * 4  # each cycle is stopped by its second validation, too


def test_stopped_within_an_epoch_of_data_without_a_length_a_cycle_knows_how_long_it_is(tmp_path):
    class Streamed(Images):
        def train_dataloader(self):
            return torch.utils.data.DataLoader(Stream(self.set), batch_size=self.batch)

    class Stream(torch.utils.data.IterableDataset):
        def __init__(self, images):
            self.images = images

        def __iter__(self):
            return (self.images[i] for i in range(len(self.images)))

    pruning = IterativePruning(cycles=1, retrain="1ep")
    torch.manual_seed(0)
    fit([EarlyStopping("val_loss", patience=2), pruning], Flat(), Streamed(), max_epochs=4, val_check_interval=4)
    assert pruning.cycle.steps == 6
    assert pruning.cycle.first_step == 6 + 6 + 4  # the third epoch is ended by its validation


def test_a_dense_run_that_ends_at_the_rewind_point_has_its_snapshot(tmp_path):
    stopping = EarlyStopping("val_loss", patience=1)
    callbacks = [stopping, IterativePruning(cycles=2, retrain="2ep"), WeightRewind("2ep"), LRRewind("1ep")]
    trainer, steps, _ = run(callbacks, tmp_path, max_epochs=3)
    assert trainer.current_epoch == 2 + 2 * 2
    assert len(steps) == 6 * 6


@pytest.mark.parametrize("scheduler", [None, plateau])
def test_saved_after_the_stop_within_an_epoch_that_epoch_ends_when_it_is_resumed(scheduler, tmp_path):
    class Saves(Callback):
        def on_validation_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / f"{trainer.fit_loop.epoch_loop.batch_progress.total.ready}.ckpt")

    def train(beside, ckpt_path=None):
        rates, weights = Rates(), Weights()
        module = toy(scheduler=scheduler)
        pruning = IterativePruning(cycles=2, retrain="2ep")
        callbacks = [EarlyStopping("val_loss", patience=0, min_delta=10.0), pruning, rates, weights, *beside]
        trainer = fit(callbacks, module, KeepsItsPlace(), ckpt_path, max_epochs=2, val_check_interval=2)
        return trainer, rates.steps, weights.epochs

    whole, steps, epochs = train([Saves()])
    files = sorted(tmp_path.glob("*.ckpt"), key=lambda path: int(path.stem))
    assert [path.stem for path in files] == ["2", "4", "6", "8", "10", "12"][: len(files)]
    assert len(files) >= 4
    for file in files:
        again, later, _ = train([], file)
        assert later == steps[int(file.stem) :]
        assert again.current_epoch == whole.current_epoch == epochs
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


def with_old_names(path):
    """Write a checkpoint again as a version wrote it that called the counters of the plan otherwise."""
    checkpoint = torch.load(path, weights_only=False)
    position = checkpoint["callbacks"]["IterativePruning"]["position"]
    for old, new in (("cut_epochs", "epochs_ahead"), ("cut_steps", "steps_ahead")):
        position[old] = position.pop(new)
    assert position["cut_epochs"] or position["cut_steps"], "nothing would be lost with the names"
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize("retrain", ["3ep", "30it"])
def test_a_checkpoint_of_before_with_other_names_of_its_counters_is_resumed(retrain, tmp_path):
    def given():
        every = {"monitor": "val_loss", "save_top_k": -1, "save_on_train_epoch_end": True}
        keep = ModelCheckpoint(tmp_path, filename="{epoch}", enable_version_counter=False, **every)
        return [IterativePruning(cycles=2, retrain=retrain), EarlyStopping("val_loss", patience=1), keep]

    whole, rates, _ = run(given(), tmp_path)
    resumed, again, _ = run(given(), tmp_path, with_old_names(tmp_path / "epoch=4.ckpt"))
    assert resumed.current_epoch == whole.current_epoch == 6, "each phase of two epochs"
    assert again == rates[-len(again) :]
    assert equal(resumed.lightning_module.state_dict(), whole.lightning_module.state_dict())


def test_a_dense_run_of_before_with_other_names_of_its_counters_is_over(tmp_path):
    trainer, *_ = run([IterativePruning(cycles=0), EarlyStopping("val_loss", patience=1)], tmp_path, max_epochs=8)
    trainer.save_checkpoint(tmp_path / "dense.ckpt")
    path = with_old_names(tmp_path / "dense.ckpt")
    assert str(read_dense_run(path).length) == "8ep", "as planned, for the rates of its schedules"
