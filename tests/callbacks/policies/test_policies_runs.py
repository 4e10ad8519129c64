"""The learning-rate policies in runs: resumed, with one step, beside other callbacks, and what they refuse."""

import json
import math
import pickle
import warnings
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from policy_members import arguments, example, members, needs_arguments
from resumed_runs import compare, run
from runs_on_processes import Masks
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau
from toys import STEPS, Images, Rates, equal, fit, make_trainer, one_cycle_lr, sgd, step_decay, toy

from lightning_prune import IterativePruning, Levels, WeightRewind
from lightning_prune.callbacks.policies import (
    AdaptiveLinearRestart,
    ConstantRate,
    CosineRestart,
    Cyclical,
    CyclicRestart,
    DenseScheduleRestart,
    LinearRestart,
    LRRewind,
    OneCycleRetrain,
    PruningAware,
    ScaledRestart,
    SCyclical,
    SILOSchedule,
    TorchScheduler,
    WarmupSteps,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]

POLICIES = {
    member.__name__: partial(member, **arguments(example(member))) if needs_arguments(member) else member
    for member in members()
}
every_policy = pytest.mark.parametrize("name", POLICIES)


@every_policy
@pytest.mark.parametrize("epochs", [[4], pytest.param([0, 3, 5, 6], marks=pytest.mark.slow)])
def test_interrupted_and_resumed_equals_uninterrupted(name, epochs, tmp_path):
    arguments = (lambda: [POLICIES[name]()], one_cycle_lr, sgd)
    whole, rates = run(tmp_path / "whole", *arguments)
    last = whole.current_epoch - 1
    for epoch in epochs:
        folder = tmp_path / f"from {epoch}"
        resumed, again = run(folder, *arguments, ckpt_path=tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert len(again.steps) == (last - epoch) * len(rates.steps) // (last + 1)
        assert again.steps == rates.steps[len(rates.steps) - len(again.steps) :]
        assert compare(tmp_path / "whole", folder, range(epoch + 1, last + 1)) == last - epoch
        assert equal(resumed.optimizers[0].state_dict(), whole.optimizers[0].state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata calls it
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize("name", [name for name in POLICIES if name != "LRRewind"])  # see test_resume_within_epochs.py
def test_resumed_within_a_cycle_it_ends_the_same(name, tmp_path):
    pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is in the dev extra")
    from stateful_loaders import KeepsItsPlace

    def trained(*beside, ckpt_path=None):
        rates = Rates()
        callbacks = [IterativePruning(cycles=1, retrain="2ep"), POLICIES[name](), rates, *beside]
        trainer = fit(callbacks, toy(), KeepsItsPlace(), ckpt_path, enable_checkpointing=bool(beside))
        return rates.steps, trainer.lightning_module.state_dict()

    middle = 5 * STEPS + 2
    steps, weights = trained(ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1))
    again, same = trained(ckpt_path=tmp_path / f"step={middle}.ckpt")
    assert again == steps[middle:]
    assert equal(weights, same)


@every_policy
@pytest.mark.parametrize("optimizer", [sgd, lambda p: torch.optim.AdamW(p, lr=0.01)])
def test_cycles_of_one_step_work_and_the_momentum_is_put_back(name, optimizer):
    policy = POLICIES[name]()
    by_step = {"interval": "step"} if hasattr(policy, "interval") else {}
    policy = type(policy)(**{**arguments(policy), **by_step})
    rates, module = Rates(), toy(scheduler=None, optimizer=optimizer)
    trainer = fit([IterativePruning(cycles=2, retrain="1it"), policy, rates], module, max_epochs=1)
    assert len(rates.steps) == STEPS + 2
    assert all(math.isfinite(lr) and lr >= 0 for lr in rates.lr())
    group = trainer.optimizers[0].param_groups[0]
    assert (group["betas"][0] if "betas" in group else group["momentum"]) == 0.9


@pytest.mark.parametrize(
    "policy",
    [
        CyclicRestart,
        partial(OneCycleRetrain, cycle_momentum=True),
        lambda: TorchScheduler(partial(OneCycleLR, max_lr=0.1, total_steps=13), "step"),
    ],
)
def test_a_cycled_momentum_is_put_back_after_the_last_cycle(policy):
    rates = Rates()
    trainer = fit([IterativePruning(cycles=2, retrain="2ep"), policy(), rates], toy())
    last = [momentum for step in rates.steps[-3:] for _, momentum in step]
    assert min(last) > 0.9001, "it was another one"
    assert trainer.optimizers[0].param_groups[0]["momentum"] == 0.9
    assert len(rates.steps) == 8 * STEPS


def test_without_a_cycle_the_momentum_stays_as_the_dense_run_left_it():
    def left(callbacks):
        return fit(callbacks, toy(scheduler=one_cycle_lr)).optimizers[0].param_groups[0]["momentum"]

    assert left([IterativePruning(cycles=0), CyclicRestart()]) == left([])


def test_the_users_optimizer_is_untouched_by_a_scheduler():
    module = toy(scheduler=None, groups=(1.0, 0.5))
    policy, rates = TorchScheduler(partial(CosineAnnealingLR, T_max=2)), Rates()
    trainer = fit([IterativePruning(cycles=2, retrain="2ep"), policy, rates], module)
    optimizer = trainer.optimizers[0]
    assert not [key for group in optimizer.param_groups for key in group if "initial" in key or "max" in key.split("_")]
    cycle = [[(0.1, 0.9), (0.05, 0.9)]] * STEPS + [[(0.05, 0.9), (0.025, 0.9)]] * STEPS
    for one, other in zip(rates.steps[4 * STEPS :], cycle * 2, strict=True):
        assert [*map(tuple, one)] == [pytest.approx(pair) for pair in other]


def halving(optimizer):
    return LambdaLR(optimizer, lambda step: 0.5**step)


def test_a_policy_that_was_used_can_be_sent_to_the_processes_of_the_next_fit():
    policy = TorchScheduler(halving)
    fit([IterativePruning(cycles=1, retrain="1ep"), policy], toy(), max_epochs=1)
    policy._clock = None
    assert pickle.loads(pickle.dumps(policy)).scheduler is halving


def test_the_schedule_restarts_from_its_start_like_a_rewind_to_zero():
    def steps(policy):
        rates = Rates()
        fit([IterativePruning(cycles=2), policy, rates], toy(scheduler=one_cycle_lr, groups=(1.0, 0.5)))
        return rates.steps

    restarted = steps(DenseScheduleRestart())
    assert restarted == steps(LRRewind(to=0))
    assert restarted[4 * STEPS :] == restarted[: 4 * STEPS] * 2


def test_slr_in_a_run_changes_with_the_epoch():
    rates = Rates()
    fit([IterativePruning(cycles=1, retrain="20ep"), ScaledRestart(), rates], toy(), max_epochs=4)
    by_epoch = rates.lr()[4 * STEPS :: STEPS]
    assert by_epoch[:3] == pytest.approx([0.001, 0.0505, 0.1])
    assert by_epoch == pytest.approx([0.001, 0.0505] + [0.1] * 9 + [0.01] * 4 + [0.001] * 5)
    assert rates.lr()[4 * STEPS :] == [lr for lr in by_epoch for _ in range(STEPS)]


# ALLR.


class Norms(Callback):
    """Measures by hand what every prune removes: all parameters before and after it."""

    def __init__(self):
        self.before, self.expected = None, []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.before = [parameter.detach().clone() for parameter in pl_module.parameters()]

    def on_cycle_start(self, trainer, pl_module, cycle):
        after = [parameter.detach() for parameter in pl_module.parameters()]
        if self.after_rewind(trainer):
            return
        gone = sum(float((a - b).double().square().sum()) for a, b in zip(self.before, after, strict=True))
        norm = sum(float(a.double().square().sum()) for a in self.before)
        living = sum(int(a.count_nonzero()) for a in self.before if a.dim() > 1)
        left = sum(int(a.count_nonzero()) for a in after if a.dim() > 1)
        self.expected.append(math.sqrt(gone / norm / (1 - left / living)))

    def after_rewind(self, trainer):
        return any(isinstance(callback, WeightRewind) for callback in trainer.callbacks)


def test_allr_starts_as_high_as_the_prune_has_hurt():
    norms, rates = Norms(), Rates()
    policy = AdaptiveLinearRestart(warmup=0.0)
    levels = IterativePruning(cycles=3, retrain="1it", sparsity=Levels([0.3, 0.8, 0.95]))
    fit([levels, policy, norms, rates], toy(groups=(1.0, 0.5)), max_epochs=8)
    budget = 1 / (8 * STEPS)
    assert all(budget < expected < 1 for expected in norms.expected)
    assert rates.lr()[8 * STEPS :] == pytest.approx([0.1 * expected for expected in norms.expected], rel=1e-6)
    assert [step[1][0] for step in rates.steps[8 * STEPS :]] == pytest.approx(
        [lr / 2 for lr in rates.lr()[8 * STEPS :]]
    )
    assert len(set(norms.expected)) == 3


def test_allr_starts_as_high_as_the_cycle_is_long():
    for retrain, fraction in (("3ep", 0.75), ("18it", 0.75), ("9ep", 1.0)):
        rates = Rates()
        fit([IterativePruning(cycles=1, retrain=retrain), AdaptiveLinearRestart(warmup=0.0), rates], toy())
        assert rates.lr()[4 * STEPS] == pytest.approx(0.1 * fraction)


def test_allr_measures_before_weights_are_rewound_or_set():
    class Triples(Callback):
        def on_cycle_start(self, trainer, pl_module, cycle):
            for parameter in pl_module.parameters():
                parameter.data.mul_(3)

    def first(*beside):
        rates = Rates()
        callbacks = [*beside, IterativePruning(cycles=1, retrain="1it"), AdaptiveLinearRestart(warmup=0.0), rates]
        fit(callbacks, toy(), max_epochs=8)
        return rates.lr()[8 * STEPS]

    assert first() == first(Triples()) == first(WeightRewind(0))


def test_allr_without_a_prune_is_as_high_as_the_cycle_is_long():
    rates = Rates()
    pruning = IterativePruning(cycles=2, retrain="2ep", sparsity=Levels([0.5, 0.5]))
    fit([pruning, AdaptiveLinearRestart(warmup=0.0), rates], toy())
    assert rates.lr()[6 * STEPS] == pytest.approx(0.05)


@pytest.mark.slow
def test_allr_is_the_same_on_every_process_and_on_one(tmp_path):
    def fractions(processes):
        folder = tmp_path / str(processes)
        folder.mkdir()
        fit(
            [IterativePruning(cycles=2, retrain="1it"), AdaptiveLinearRestart(), Writes(folder), Masks(folder)],
            toy(plain=True), Images(batch=16 // processes), devices=processes,
            strategy="ddp_fork" if processes > 1 else "auto",
        )  # fmt: skip
        return [json.loads(path.read_text()) for path in sorted(folder.glob("rank *.json"))]

    (one,), (first, second) = fractions(1), fractions(2)
    assert first == second
    assert first == pytest.approx(one, rel=1e-4)
    assert len(first) == 2


class Writes(Callback):
    def __init__(self, folder):
        self.folder, self.found = folder, []

    def on_train_batch_start(self, trainer, *_):
        policy = next(c for c in trainer.callbacks if isinstance(c, AdaptiveLinearRestart))
        if policy.clock.cycle is not None:
            self.found.append(policy.fraction)
            (self.folder / f"rank {trainer.global_rank}.json").write_text(json.dumps(self.found))


# What is refused.

BAD = {
    "a rate of zero": (lambda: ConstantRate(lr=0), r"ConstantRate\(lr=0\) must be greater than 0"),
    "a peak below zero": (lambda: LinearRestart(max_lr=-1), r"LinearRestart\(max_lr=-1\) must be greater than 0"),
    "a warm-up in percent": (lambda: CosineRestart(warmup=10), r"CosineRestart\(warmup=10\) is a fraction"),
    "a negative end": (lambda: CosineRestart(final_lr=-0.1), r"CosineRestart\(final_lr=-0.1\) must be at least 0"),
    "a negative start": (lambda: ScaledRestart(start_lr=-1.0), r"ScaledRestart\(start_lr=-1.0\) must be at least 0"),
    "drops in epochs": (lambda: ScaledRestart(drops=(18, 27)), r"ScaledRestart\(drops=\[18, 27\]\) must lie in \(0, 1\] and rise"),
    "drops out of order": (lambda: WarmupSteps(drops=(0.8, 0.5)), r"WarmupSteps\(drops=\[0.8, 0.5\]\) must be positive and rise"),
    "a factor that raises": (lambda: ScaledRestart(factor=10), r"ScaledRestart\(factor=10\) is a fraction"),
    "an interval": (lambda: ScaledRestart(interval="batch"), r"ScaledRestart\(interval='batch'\) must be 'step' or 'epoch'"),
    "a divisor that multiplies": (lambda: CyclicRestart(div_factor=0.5), r"CyclicRestart\(div_factor=0.5\) must be at least 1"),
    "no length": (lambda: Cyclical(half_period=0), r"Cyclical\(half_period=0\) must be greater than 0"),
    "a bottom above": (lambda: Cyclical(max_lr=0.1, bottom=0.2), r"Cyclical\(max_lr=0.1, bottom=0.2\): the bottom lies above"),
    "a bottom above the S": (lambda: SCyclical(0.03, 0.04, bottom=0.05), r"SCyclical\(low=0.03, bottom=0.05\)"),
    "an S that falls": (lambda: SCyclical(0.03, -0.04), r"SCyclical\(rise=-0.04, delay=1\): none may be negative"),
    "a negative warm-up": (lambda: SILOSchedule(0.1, 0.1, warmup=-1), r"SILOSchedule\(warmup=-1\) must be at least 0"),
    "a rate below zero": (lambda: PruningAware(base=0.001, drop=0.002), r"PruningAware\(base=0.001, drop=0.002\) would fall below 0"),
    "a turn in percent": (lambda: PruningAware(turn=12), r"PruningAware\(turn=12\) is a sparsity"),
    "a plateau": (lambda: TorchScheduler(ReduceLROnPlateau), "ReduceLROnPlateau.*depends on what is measured"),
    "a plateau with arguments": (lambda: TorchScheduler(partial(ReduceLROnPlateau, patience=3)), "ReduceLROnPlateau.*depends on what is measured"),
    "no scheduler": (lambda: TorchScheduler({"step_size": 2}), r"TorchScheduler\(scheduler=\{'step_size': 2\}\) must make a scheduler"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_arguments_that_cannot_be_are_refused_by_name(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make()


LATE = {
    "epochs of steps": (lambda: ScaledRestart(), "7it", {}, r"ScaledRestart\(interval='epoch'\) changes the rate once an epoch, but cycles of 7it"),
    "a hidden plateau": (lambda: TorchScheduler(lambda o: ReduceLROnPlateau(o)), "2ep", {}, "depends on what is measured"),
    "a scheduler that ends": (lambda: TorchScheduler(partial(OneCycleLR, max_lr=0.1, total_steps=5), "step"), "2ep", {}, r"fails after \d of the 12 steps of a cycle: .*total_steps=12"),
    "a falling scheduler": (lambda: TorchScheduler(lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 - t)), "3ep", {}, r"gives the rate -0.1\d* in step 2 of the 3"),
    "nothing to repeat": (DenseScheduleRestart, "2ep", {"max_epochs": 0}, "DenseScheduleRestart replays the learning rate of the dense run, but there is none"),
    "nothing to compare with": (AdaptiveLinearRestart, "2ep", {"max_epochs": 0}, r"AdaptiveLinearRestart compares .* there is none \(max_epochs=0\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", LATE)
def test_what_would_fail_in_a_cycle_is_refused_before_the_first_step(case):
    make, retrain, options, message = LATE[case]
    rates = Rates()
    trainer = make_trainer([IterativePruning(cycles=1, retrain=retrain), make(), rates], **options)
    with pytest.raises(ValueError, match=message):
        trainer.fit(toy(), datamodule=Images())
    assert not rates.steps


@every_policy
def test_a_fast_dev_run_goes_through(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit([IterativePruning(cycles=1, retrain="2ep"), POLICIES[name]()], toy(scheduler=step_decay), fast_dev_run=True)
