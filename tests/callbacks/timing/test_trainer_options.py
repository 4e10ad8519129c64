"""Every option of the Trainer that moves epochs, steps or data: cycles begin, learn and end where they should."""

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader
from toys import Images, Toy, equal, toy
from watched import LIVING, EndlessStreams, Streams, alive, check, each_step, every_policy, run

pytestmark = pytest.mark.filterwarnings("ignore:You requested to overfit but enabled train dataloader shuffling")

OPTIONS = {  # the data, the options, and the optimizer steps of an epoch
    "a stream": (Streams, {}, 6),
    "a stream without an end": (EndlessStreams, {"limit_train_batches": 4}, 4),
    "a stream that ends before its limit": (Streams, {"limit_train_batches": 100}, 6),
    "so many batches": (Images, {"limit_train_batches": 4}, 4),
    "a part of the batches": (Images, {"limit_train_batches": 0.5}, 3),
    "a partial last window": (Images, {"accumulate_grad_batches": 4}, 2),
    "validation across epochs": (Images, {"val_check_interval": 4, "check_val_every_n_epoch": None}, 6),
    "at least so many epochs": (Images, {"min_epochs": 20}, 6),
}
SLOW = {
    "a stream with windows": (Streams, {"accumulate_grad_batches": 4}, 2),
    "overfitting so many": (Images, {"overfit_batches": 2}, 2),
    "overfitting a part": (Images, {"overfit_batches": 0.5}, 3),
    "validation within the epoch": (Images, {"val_check_interval": 0.34}, 6),
    "validation every so many batches": (Images, {"val_check_interval": 3}, 6),
    "validation in some epochs": (Images, {"check_val_every_n_epoch": 3}, 6),
    "reloading": (Images, {"reload_dataloaders_every_n_epochs": 1}, 6),
    "at least so many steps": (Images, {"min_steps": 200}, 6),
}


@every_policy
@pytest.mark.parametrize("option", [*OPTIONS, *(pytest.param(option, marks=pytest.mark.slow) for option in SLOW)])
def test_runs_by_epochs_have_their_epochs_steps_rates_and_sparsities(option, policy):
    data, options, per_epoch = {**OPTIONS, **SLOW}[option]
    trained = run(policy, data=data(), **options)
    check(policy, trained, 4 * per_epoch, [2 * per_epoch] * 2)
    assert trained[0].current_epoch == 8
    assert trained[0].max_epochs == 4
    assert trained[0].min_epochs == options.get("min_epochs", "min_steps" in options)


BY_STEPS = {"max_epochs": None, "max_steps": 20}


@every_policy
@pytest.mark.parametrize(
    ("data", "options", "dense"),
    [
        (EndlessStreams, BY_STEPS, 20),
        (Images, {**BY_STEPS, "min_steps": 15}, 20),
        (Images, {"min_epochs": 20}, 24),
        (Images, {"min_steps": 200}, 24),
        pytest.param(Images, BY_STEPS, 20, marks=pytest.mark.slow),
        pytest.param(Images, {**BY_STEPS, "accumulate_grad_batches": 4}, 20, marks=pytest.mark.slow),
        pytest.param(Images, {"max_epochs": 100, "max_steps": 20}, 20, marks=pytest.mark.slow),
        pytest.param(Images, {"max_epochs": 2, "max_steps": 100}, 12, marks=pytest.mark.slow),
    ],
)
def test_runs_by_steps_have_their_steps_rates_and_sparsities(data, options, dense, policy):
    trained = run(policy, retrain="7it", data=data(), **options)
    check(policy, trained, dense, [7, 7])
    assert trained[0].min_steps == options.get("min_steps")


@pytest.mark.slow
@every_policy
def test_validation_does_not_change_what_is_trained(policy):
    def weights(**options):  # without dropout: a validation draws the order of its loader
        return run(policy, module=toy(scheduler=each_step, dropout=0.0), **options)[0].lightning_module.state_dict()

    plain = weights()
    for option in ("validation within the epoch", "validation in some epochs", "reloading"):
        assert equal(weights(**SLOW[option][1]), plain), option


@every_policy
def test_a_loader_that_grows_with_the_cycles_has_whole_cycles(policy):
    class Grows(Images):
        def train_dataloader(self):
            return DataLoader(self.set, batch_size=4 if self.trainer.current_epoch >= 4 else 8)

    trainer, rates, watch = run(policy, data=Grows(), reload_dataloaders_every_n_epochs=1)
    assert [(cycle.first_step, cycle.steps) for cycle in watch.cycles] == [(24, 24), (48, 24)]
    assert trainer.global_step == 72
    for start in (24, 48):
        if policy == "rewind":
            assert rates[start : start + 24] == [rate for rate in rates[12:24] for _ in range(2)], "by position"
        else:
            assert rates[start + 23] == pytest.approx(0.1 / 10_000)


@pytest.mark.parametrize("batches", [1, 3])
@every_policy
def test_a_fast_dev_run_of_several_batches_prunes_after_them(policy, batches, tmp_path):
    trainer, _, watch = run(policy, fast_dev_run=batches, default_root_dir=tmp_path)
    assert [cycle.first_step for cycle in watch.cycles] == [batches, batches + 1]
    assert trainer.global_step == batches + 2
    assert alive(trainer.lightning_module) == LIVING[-1]


@pytest.mark.parametrize(
    ("least", "interval", "phases"),
    [
        ({"min_epochs": 4}, 1.0, [4, 2, 2]),
        ({"min_epochs": 4}, 0.5, [4, 2, 2]),
        ({"min_steps": 18}, 1.0, [3, 2, 2]),
        ({"min_epochs": 9}, 1.0, [6, 2, 2]),
    ],
)
def test_early_stopping_does_not_end_the_dense_run_before_its_least_length(least, interval, phases):
    class StandsStill(Toy):
        def validation_step(self, batch, index):
            self.log("val_loss", torch.tensor(1.0))

    stopping = EarlyStopping("val_loss", patience=1 if interval == 1.0 else 3)
    trainer, _, watch = run(
        "one cycle",
        retrain="5ep",
        beside=[stopping],
        module=StandsStill(scheduler=None),
        max_epochs=6,
        val_check_interval=interval,
        **least,
    )
    steps = [6 * epochs for epochs in phases]
    assert [cycle.first_step for cycle in watch.cycles] == [steps[0], steps[0] + steps[1]]
    assert trainer.global_step == sum(steps)


MIXED = "cycles of 4ep and 7it mixes epochs and steps, but an epoch has no known number of steps: the training data has no length"


@pytest.mark.parametrize(
    ("data", "options", "retrain", "message"),
    [
        (Images, {"limit_train_batches": 0}, "2ep", r"Trainer\(limit_train_batches=0\) trains nothing. Leave"),
        (
            Streams,
            {"max_steps": 100},
            "7it",
            r"Trainer\(max_epochs=4, max_steps=100\) ends the dense run by whichever comes first.*Give one of the two",
        ),
        (Streams, {}, "7it", MIXED),
        (Images, {"max_epochs": -1}, "2ep", r"Trainer\(max_epochs=-1\) never is. Give the length of the dense run"),
        (
            Images,
            {"max_epochs": None, "max_time": {"hours": 1}},
            "2ep",
            r"a limit of time alone \(max_time, Timer\) ends the whole fit. Give the length of the dense run",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_training(data, options, retrain, message):
    module = toy()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        run("rewind", retrain=retrain, data=data(), module=module, **options)
    assert equal(module.state_dict(), before)
