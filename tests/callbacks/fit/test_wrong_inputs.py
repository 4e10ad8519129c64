"""What users write that is not what is meant, and what a run does in silence: each gets words that say what to do."""

import math
import warnings
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR
from toys import STEPS, Images, Toy, fit, make_trainer, toy

import lightning_prune
from lightning_prune import (
    CycleCheckpoint,
    DenseScheduleRestart,
    FineTune,
    Geometric,
    IterativePruning,
    Levels,
    Linear,
    LRRewind,
    OneShot,
    Prunable,
    Structures,
    TorchScheduler,
    WeightRewind,
    WithFloor,
    criteria,
    random,
)
from lightning_prune.masks.multiply import multiply_


def one_argument(weight):
    return weight.abs()


GUESSES = {
    "a sparsity": (lambda: IterativePruning(sparsity=0.8), "IterativePruning(sparsity=0.8) is not callable: give lightning_prune.OneShot(final=0.8)"),
    "a percentage": (lambda: IterativePruning(sparsity=80), "give lightning_prune.OneShot(final=0.8)"),
    "a percentage as text": (lambda: IterativePruning(sparsity="80 %"), "give lightning_prune.OneShot(final=0.8)"),
    "a pattern as text": (lambda: IterativePruning(granularity="2:4"), "is no granularity: give an object, lightning_prune.NofM(2, 4)."),
    "the class of a granularity": (lambda: IterativePruning(granularity=Structures), "is no granularity: give an object of it, Structures(...)."),
    "sparsities": (lambda: IterativePruning(sparsity=[0.5, 0.9]), "give lightning_prune.Levels(levels=[0.5, 0.9]), not a list"),
    "the class of a schedule": (lambda: IterativePruning(sparsity=Geometric), "IterativePruning(sparsity=Geometric) is the class: give an object of it, Geometric()"),
    "the class of a schedule with arguments": (lambda: IterativePruning(sparsity=Linear), "an object of it, Linear(final=..., cycles=...)"),
    "a schedule by name": (lambda: IterativePruning(sparsity="one_shot"), "give lightning_prune.schedules.OneShot(final=...), not a name"),
    "an allocation by name": (lambda: IterativePruning(allocation="layerwise"), "give lightning_prune.allocation.layerwise, not a name"),
    "an allocation by nearly its name": (lambda: IterativePruning(allocation="global"), "give lightning_prune.allocation.globally, not"),
    "the class of an allocation": (lambda: IterativePruning(allocation=WithFloor), "is the class: give an object of it, WithFloor("),
    "an allocation of one argument": (lambda: IterativePruning(allocation=one_argument), "cannot be called with scores and density"),
    "a criterion by name": (lambda: IterativePruning(criterion="snip"), "give lightning_prune.criteria.snip, not a name"),
    "a criterion that nobody knows": (lambda: IterativePruning(criterion="beauty"), "give lightning_prune.magnitude, not a name"),
    "the class of a criterion": (lambda: IterativePruning(criterion=criteria.SynFlow), "is the class: give an object of it, SynFlow()"),
    "a criterion of one argument": (lambda: IterativePruning(criterion=one_argument), "IterativePruning(criterion=test_wrong_inputs.one_argument) cannot be called with weight and evidence: give lightning_prune.magnitude, or a function of (weight, evidence)"),
    "a criterion that is called": (lambda: IterativePruning(criterion=torch.ones(2)), "not a Tensor"),
    "the class of a selection": (lambda: IterativePruning(prunable=Prunable), "IterativePruning(prunable=Prunable) is the class: give an object of it, Prunable()"),
    "a layer": (lambda: IterativePruning(prunable="net.0"), "give lightning_prune.Prunable(include=['net.0']), not a name"),
    "layers": (lambda: IterativePruning(prunable=["net.0", "net.4"]), "give lightning_prune.Prunable(include=['net.0', 'net.4']), not a list"),
    "types by name": (lambda: Prunable(types=["Linear"]), "Prunable(types='Linear') is not a class: give the class of a layer, torch.nn.Linear"),
    "a schedule's argument": (lambda: OneShot(sparsity=0.8), "OneShot has no argument `sparsity`: write OneShot(final)"),
    "a scheduler without its arguments": (lambda: TorchScheduler(CosineAnnealingLR), "TorchScheduler(scheduler=CosineAnnealingLR) lacks T_max: give functools.partial(CosineAnnealingLR, T_max=...)"),
    "the class of our callback": (lambda: Trainer(callbacks=[IterativePruning], logger=False), "Trainer(callbacks=[IterativePruning]) was given the class"),
    "the class of a policy": (lambda: Trainer(callbacks=[IterativePruning(), LRRewind], logger=False), "needs an object of it: write LRRewind(...)"),
    "masks before the fit": (lambda: IterativePruning().masks, "IterativePruning has no masks, no sparsity and no ticket before the training starts"),
    "the sparsity before the fit": (lambda: IterativePruning().measured_sparsity, "call trainer.fit(...) with it first"),
    "a ticket before the fit": (lambda: IterativePruning().save_ticket("x.safetensors"), "lightning_prune.save_ticket(path, checkpoint) makes a ticket"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), GUESSES.values(), ids=GUESSES)
def test_a_guess_is_answered_with_what_to_write(make, words):
    with pytest.raises((ValueError, TypeError)) as refused:
        make()
    assert words in str(refused.value)


class Untouched(Callback):
    """Fails if anything was trained or validated."""

    def on_train_batch_start(self, *_):
        raise AssertionError("a batch was trained before the error")

    on_sanity_check_start = on_train_batch_start


def twice(callback):
    return [callback, callback]


AT_THE_START = {
    "a clock twice": (lambda: twice(IterativePruning()), "IterativePruning and IterativePruning would both count the cycles: keep one of them"),
    "a policy twice": (lambda: [IterativePruning(), *twice(LRRewind())], "LRRewind and LRRewind would both set the learning rate: keep one of them"),
    "two policies of a kind": (lambda: [IterativePruning(), LRRewind(), LRRewind(to=0)], "LRRewind and LRRewind would both set the learning rate: keep one of them"),
    "a rewind twice": (lambda: [IterativePruning(), *twice(WeightRewind(0))], "WeightRewind and WeightRewind would both set the weights: keep one of them"),
    "a function that lists weights": (lambda: [IterativePruning(prunable=lambda module: [module.net[0].weight])], "returned a list: give lightning_prune.Prunable(include=[...]"),
    "a ticket that is not there": (lambda: [IterativePruning(initial_masks="gone.safetensors")], "IterativePruning(initial_masks='gone.safetensors') is not a file. Give the path of a ticket"),
    "two clocks": (lambda: [IterativePruning(), IterativePruning(cycles=2)], "IterativePruning and IterativePruning would both count the cycles: keep one of them"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), AT_THE_START.values(), ids=AT_THE_START)
def test_what_only_the_fit_can_see_is_refused_before_anything_runs(make, words):
    trainer = make_trainer([*make(), Untouched()], num_sanity_val_steps=1)
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the words are compared below
        trainer.fit(toy(), datamodule=Images())
    assert words in str(refused.value)


def test_guesses_that_are_clear_are_taken():
    one, listed = Prunable(include="net.0", exclude="net.4*"), Prunable(include=["net.0"], exclude=["net.4*"])
    assert one == listed
    assert repr(one) == repr(listed)  # a resumed run compares them so
    assert Prunable(types=nn.Linear) == Prunable(types=(nn.Linear,))
    assert list(Prunable(types=nn.Linear)(toy()).weights) == ["net.4.weight", "net.7.weight"]
    assert list(one(toy()).weights) == ["net.0.weight"]


def test_schedulers_and_criteria_that_are_complete_are_taken():
    TorchScheduler(partial(CosineAnnealingLR, T_max=3))
    TorchScheduler(lambda optimizer: StepLR(optimizer, 2))
    IterativePruning(criterion=torch.mul, allocation=lambda *given: {}, sparsity=partial(min, 0.5))  # not all tell


def test_the_checkpoints_of_a_run_have_the_class_as_the_key_of_the_clock(tmp_path):
    pruning = IterativePruning(cycles=1, retrain="1ep")
    trainer = fit([pruning], max_epochs=1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["callbacks"]
    assert "masks" in saved["IterativePruning"]
    assert hasattr(pruning, "masks")
    assert not hasattr(IterativePruning(), "masks")
    evaluated = IterativePruning(cycles=1, retrain="1ep")
    make_trainer([evaluated]).validate(toy(), datamodule=Images(), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert evaluated._loaded["masks"].keys() == saved["IterativePruning"]["masks"].keys()


# A run that has diverged.


class Breaks(Callback):
    """Writes a number into a weight after the last step of an epoch."""

    def __init__(self, epoch, value=math.nan, name="net.1.bias"):
        self.epoch, self.value, self.name = epoch, value, name

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            pl_module.get_parameter(self.name).data.view(-1)[0] = self.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("epoch", "phase"), [(0, "The dense run"), (1, "Cycle 1"), (2, "Cycle 2")], ids=["dense", "first", "last"]
)
def test_weights_that_are_no_numbers_end_the_run_where_the_phase_ends(epoch, phase, value):
    callbacks = [IterativePruning(cycles=2, retrain="1ep", criterion=random), Breaks(epoch, value)]
    with pytest.raises(
        ValueError, match=rf"{phase} ended with 1 weights of 'net.1.bias' that are NaN or infinite.*low"
    ):
        fit(callbacks, max_epochs=1)
    assert callbacks[0]._run.at.epoch == epoch + (epoch < 2)


def test_a_loss_of_the_last_cycle_that_is_no_number_ends_in_an_error_and_not_as_finished(tmp_path):
    class Diverges(Toy):
        def training_step(self, batch, index):
            return super().training_step(batch, index) * (math.nan if self.current_epoch == 2 else 1.0)

    with pytest.raises(ValueError, match="Cycle 1 ended with .* and in [0-9]+ more tensors"):
        fit([IterativePruning(cycles=1, retrain="1ep")], Diverges(), max_epochs=2)


def test_a_run_that_time_stopped_is_not_judged():
    class Stops(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step == STEPS + 2

    fit([IterativePruning(cycles=2, retrain="2ep"), Breaks(1), Stops()], max_epochs=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_what_is_infinite_at_dead_weights_alone_changes_nothing(clip, dtype):
    class Roots(Toy):
        """The slope of a square root is infinite at 0, where all dead weights are; living weights never get there."""

        def training_step(self, batch, index):
            weight = self.net[4].weight
            return super().training_step([batch[0].to(dtype), batch[1]], index) + 1e-3 * weight.abs().sqrt().sum()

        def validation_step(self, batch, index):
            pass

    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=Levels([0.5, 0.8]))
    module = Roots().to(dtype)
    fit([pruning], module, max_epochs=1, gradient_clip_val=clip)
    assert pruning.measured_sparsity == pytest.approx(0.8, abs=1e-3)
    assert all(bool(parameter.isfinite().all()) for parameter in module.parameters())
    for name, mask in pruning.masks.items():
        assert not module.get_parameter(name)[~mask].any()


@pytest.mark.parametrize("lay", [lambda t: t, lambda t: t.t().contiguous().t(), lambda t: t[:, ::2]])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_dead_entries_become_zero_whatever_they_are(dtype, lay):
    generator = torch.Generator().manual_seed(0)
    tensor = lay(torch.randn(6, 8, generator=generator).to(getattr(torch, dtype)))
    alive = torch.rand(tensor.shape, generator=generator) > 0.5
    before = tensor.clone()
    tensor[~alive] = torch.tensor([math.nan, math.inf, -math.inf]).to(tensor.dtype).repeat(99)[: int((~alive).sum())]
    multiply_([(tensor, alive.to(torch.uint8))])
    assert torch.equal(tensor, torch.where(alive, before, torch.zeros_like(before)))


# What does nothing is said.


def warned(callbacks, module=None, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(callbacks, module, **options)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("policy", [LRRewind, DenseScheduleRestart])
def test_a_replay_of_rates_that_never_change_is_pointed_out(policy):
    said = warned([IterativePruning(cycles=2, retrain="1ep"), policy()], toy(scheduler=None), max_epochs=1)
    assert len([one for one in said if f"{policy.__name__} is what FineTune is" in one]) == 1
    beside_schedule = warned([IterativePruning(cycles=1, retrain="1ep"), policy()], max_epochs=1)
    not_asked_for = warned([IterativePruning(cycles=1), WeightRewind(0)], toy(scheduler=None), max_epochs=1)
    assert not [one for one in beside_schedule + not_asked_for if "what FineTune is" in one]


@pytest.mark.parametrize(
    ("retrain", "to", "told"), [("1ep", None, True), ("2ep", None, False), ("1ep", 1, True), ("2ep", 0, False)]
)
def test_a_replay_of_the_last_rate_alone_is_said_once(retrain, to, told, log):
    module = toy(scheduler=lambda optimizer, _: StepLR(optimizer, 1))  # in two epochs it falls once
    fit([IterativePruning(cycles=2, retrain=retrain), LRRewind(to)], module, max_epochs=2)
    said = [one for one in log.messages if "so LRRewind does what FineTune does" in one]
    assert len(said) == (1 if told else 0)


@pytest.mark.parametrize(
    ("sparsity", "words"),
    [
        (
            Levels([0.5]),
            "Levels(levels=[0.5])) removes nothing in cycles 2 to 3: the last sparsity is reached in cycle 1",
        ),
        (Linear(0.5, 2), "removes nothing in cycle 3: the last sparsity is reached in cycle 2"),
        (OneShot(0.5), "Give cycles=1, or a schedule with more steps"),
        (Levels([0.5, 0.5, 0.5]), None),
        (Geometric(0.2), None),
    ],
)
def test_cycles_after_the_end_of_the_schedule_are_pointed_out(sparsity, words):
    said = [one for one in warned([IterativePruning(3, "1ep", sparsity)], max_epochs=1) if "removes nothing" in one]
    assert len(said) == (words is not None)
    assert all(words in one for one in said)


def test_frozen_weights_are_counted_when_the_fit_starts(log):
    module = toy()
    module.net[4].requires_grad_(False)
    fit([IterativePruning(cycles=1, retrain="1ep")], module, max_epochs=1)
    said = [one for one in log.messages if "frozen" in one]
    assert len(said) == 1
    assert "leaves 640 weights dense because they are frozen (net.4.weight): its sparsity is that of the 66" in said[0]
    log.clear()
    fit([IterativePruning(cycles=1, retrain="1ep")], max_epochs=1)
    assert not [one for one in log.messages if "frozen" in one]


def test_a_last_checkpoint_that_may_be_dense_is_pointed_out(tmp_path):
    def said(**options):
        checkpoint = ModelCheckpoint(tmp_path, monitor="val_loss", **options)
        return [
            one
            for one in warned(
                [IterativePruning(cycles=1, retrain="1ep", best_checkpoint="run"), checkpoint], max_epochs=1
            )
            if "dense" in one
        ]

    assert "save_last=True writes it only when one of the best was saved" in said(save_last=True)[0]
    assert "save_last" not in said()[0]


@pytest.mark.parametrize("weights_only", [False, True])
def test_the_checkpoints_of_cycles_are_saved_without_a_word(weights_only, tmp_path, log):
    checkpoint = CycleCheckpoint(dirpath=str(tmp_path), save_weights_only=weights_only)
    fit([IterativePruning(cycles=1, retrain="1ep"), FineTune(), checkpoint], max_epochs=1)
    assert "stopped: `max_epochs=2` reached" in log.text  # so it listens
    assert not [one for one in log.messages if "weights_only" in one]
    saved = torch.load(tmp_path / "cycle=01-density=0.800-last.ckpt", weights_only=True)
    assert ("optimizer_states" in saved) is not weights_only


def test_the_names_that_errors_give_are_there():
    assert {"OneShot", "Levels", "Geometric", "magnitude", "globally", "Prunable", "save_ticket", "load_ticket"} <= set(
        dir(lightning_prune)
    )
