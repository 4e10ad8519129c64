"""Where a checkpoint may be saved, and what Lightning and torch leave out of it, made up for."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler
from lightning.pytorch.callbacks.weight_averaging import EMAWeightAveraging
from stateful_loaders import KeepsItsPlace, everything
from toys import Rates, equal, make_trainer, toy

from lightning_prune import ExactResume, IterativePruning, WeightRewind
from lightning_prune.callbacks.resuming.unrounded import Unrounded

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


class SavesIn(Callback):
    """Saves in one hook, each time that it is called."""

    def __init__(self, hook, folder):
        self.files, self.folder = [], folder
        setattr(self, hook, self._save)

    def _save(self, trainer, *_):
        if not trainer.sanity_checking:
            self.files.append(self.folder / f"{len(self.files)}.ckpt")
            trainer.save_checkpoint(self.files[-1], weights_only=False)


def train(beside=(), ckpt_path=None, optimizer=None, pruning=None, **options):
    torch.manual_seed(0)
    module = toy(scheduler=None) if optimizer is None else toy(scheduler=None, optimizer=optimizer)
    rates = Rates()
    trainer = make_trainer(
        [*(pruning or [IterativePruning(cycles=2, retrain="1ep")]), rates, *beside], **{"max_epochs": 2, **options}
    )
    torch.manual_seed(1 if ckpt_path is None else 5)
    trainer.fit(module, datamodule=KeepsItsPlace(), ckpt_path=ckpt_path)
    return everything(trainer), rates.steps


def assert_resumes(expected, steps, file, parts=None, **given):
    found, later = train(ckpt_path=file, **given)
    assert later == steps[torch.load(file, weights_only=True)["global_step"] :]
    if not later and "IterativePruning" in found:  # it looked for a batch that never came
        found["IterativePruning"]["position"] = expected["IterativePruning"]["position"]
    assert expected.keys() == found.keys()
    for part in parts or expected:
        assert equal(found[part], expected[part]), (file.name, part)


@pytest.mark.parametrize(
    ("hook", "where"),
    [
        ("on_train_batch_start", "within a batch"),
        ("on_before_optimizer_step", "within a batch"),
        ("on_validation_start", "within a validation"),
        ("on_validation_batch_end", "within a validation"),
        ("on_validation_epoch_end", "within a validation"),
    ],
)
@pytest.mark.parametrize("pruning", [None, [ExactResume()]], ids=["pruned", "dense"])
def test_a_checkpoint_that_would_miss_a_batch_or_a_validation_is_not_saved(hook, where, pruning, tmp_path):
    with pytest.raises(RuntimeError, match=f"(?s)cannot be saved here: this is {where}.*on_train_batch_end"):
        train([SavesIn(hook, tmp_path)], pruning=pruning)
    assert not list(tmp_path.iterdir())


def test_the_weights_alone_are_saved_anywhere(tmp_path):
    class Saves(SavesIn):
        def _save(self, trainer, *_):
            trainer.save_checkpoint(self.folder / "weights.ckpt", weights_only=True)

    train([Saves("on_train_batch_start", tmp_path)])
    assert (tmp_path / "weights.ckpt").is_file()


def test_saved_at_the_start_of_a_cycle_a_run_ends_as_the_uninterrupted_one(tmp_path):
    class Draws(Callback):
        """Is told of the cycle after the one that saves; and sets a weight."""

        def on_cycle_start(self, trainer, pl_module, cycle):
            with torch.no_grad():
                pl_module.net[4].weight.fill_(cycle.index / 8)

    def beside():
        return [EMAWeightAveraging(decay=0.8), EarlyStopping("val_loss", patience=0, min_delta=9.0), Draws()]

    def pruning():
        return [IterativePruning(cycles=3, retrain="2ep"), WeightRewind("1ep")]

    saves = SavesIn("on_cycle_start", tmp_path)
    whole, steps = train([saves, *beside()], pruning=pruning())
    assert len(saves.files) == 3
    for file in saves.files:
        assert_resumes(whole, steps, file, pruning=pruning(), beside=beside())


def test_a_cycle_that_begins_within_an_epoch_cannot_be_saved_as_it_begins(tmp_path):
    with pytest.raises(RuntimeError, match="within a batch.*in on_cycle_start where the cycle begins with an epoch"):
        train([SavesIn("on_cycle_start", tmp_path)], pruning=[IterativePruning(cycles=2, retrain="4it")])


@pytest.mark.parametrize("pruning", [True, False])
def test_resumed_within_an_epoch_a_scheduled_window_of_batches_goes_on(pruning, tmp_path):
    def clock():
        return [IterativePruning(cycles=1, retrain="1ep")] if pruning else [ExactResume()]

    def beside():
        return [GradientAccumulationScheduler({0: 1, 1: 3})]

    saves = SavesIn("on_train_batch_end", tmp_path)
    whole, steps = train([saves, *beside()], pruning=clock())
    assert len(steps) == 6 + 2 + 2 * pruning
    for file in saves.files[5:11]:
        assert_resumes(whole, steps, file, beside=beside(), pruning=clock())


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize("optimizer", [torch.optim.NAdam, torch.optim.ASGD])
def test_the_scalars_of_an_optimizer_come_back_to_the_bit(optimizer, precision, tmp_path):
    given = {"optimizer": lambda parameters: optimizer(parameters, lr=0.01), "precision": precision}
    saves = SavesIn("on_train_epoch_end", tmp_path)
    whole, steps = train([saves], **given)
    for file in saves.files[:3]:  # the tape of ASGD has no momenta: NaN, which are not equal
        assert_resumes(whole, steps, file, ("state_dict", "optimizer_states"), **given)


def test_a_state_that_is_finer_than_its_weights_comes_back_as_it_was_in_the_same_precision_only():
    def loaded(dtype):
        torch.manual_seed(0)
        module = torch.nn.Linear(2, 1)
        optimizer = torch.optim.NAdam(module.to(torch.bfloat16).parameters())
        module(torch.ones(1, 2, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()
        optimizer.state[module.weight]["exp_avg"] = torch.rand(1, 2)  # in float32, as some optimizers keep it
        checkpoint = {"state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()]}
        other = torch.nn.Linear(2, 1).to(dtype)
        again = torch.optim.NAdam(other.parameters())
        again.load_state_dict(optimizer.state_dict())
        Unrounded(checkpoint, other).put_back_([again])
        return optimizer.state[module.weight], again.state[other.weight]

    saved, found = loaded(torch.bfloat16)
    for name, value in saved.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
    _, found = loaded(torch.float64)
    assert found["mu_product"].dtype == torch.float64, "the precision was changed, and torch has converted all of it"


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize(
    ("hook", "files"), [("on_train_batch_end", slice(3, None, 6)), ("on_train_epoch_end", slice(1, 5, 3))]
)
def test_an_average_of_another_type_than_the_weights_comes_back_to_the_bit(hook, files, precision, tmp_path):
    given = {"precision": precision, "num_sanity_val_steps": 2, "check_val_every_n_epoch": 3}

    def pruning():
        return [IterativePruning(cycles=2, retrain="2ep")]

    saves = SavesIn(hook, tmp_path)
    whole, steps = train([EMAWeightAveraging(decay=0.8), saves], pruning=pruning(), **given)
    for file in saves.files[files]:  # the last within a cycle, after an epoch without a validation
        assert_resumes(whole, steps, file, beside=[EMAWeightAveraging(decay=0.8)], pruning=pruning(), **given)


@pytest.mark.parametrize("arguments", [{"cycles": 2, "during": "2it:6it"}, {"cycles": 0}])
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_end"])
@pytest.mark.parametrize("interval", [None, 2, 3])
def test_saved_after_the_last_of_max_steps_the_end_of_the_epoch_comes(arguments, hook, interval, tmp_path):
    given = {"max_epochs": -1, "max_steps": 8, "val_check_interval": interval}
    saves = SavesIn(hook, tmp_path)
    whole, steps = train([saves], pruning=[IterativePruning(**arguments)], **given)
    for file in saves.files[-2:]:
        assert_resumes(whole, steps, file, pruning=[IterativePruning(**arguments)], **given)
