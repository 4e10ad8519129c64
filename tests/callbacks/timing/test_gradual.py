"""Pruning inside the dense run: the network is trained as it would be, and gets sparser while it is."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from toys import STEPS, Images, Rates, equal, fit, one_cycle_lr, plateau, step_decay, toy

from lightning_prune import Cubic, Geometric, IterativePruning, Linear, LRRewind, WeightRewind
from lightning_prune.schedules.sparsity import SparsitySchedule

SIZE = 706


class Zeros(Callback):
    """How many prunable weights are zero after every batch."""

    def __init__(self):
        self.after = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.after.append(sum(int((pl_module.net[i].weight == 0).sum()) for i in (0, 4, 7)))


def expected(schedule, begins, steps):
    """How many weights are dead after each step, for cycles that begin at these steps."""
    cycles = [sum(begin <= step for begin in begins) for step in range(steps)]
    return [SIZE - round((1 - schedule(cycle)) * SIZE) if cycle else 0 for cycle in cycles]


@pytest.mark.parametrize(
    ("during", "cycles", "retrain", "begins"),
    [
        ("1ep:5ep", 4, None, [12, 18, 24, 30]),
        ("1ep:5ep", 4, "1ep", [12, 18, 24, 30]),
        ("1ep:5ep", 4, "0ep", [12, 18, 24, 30]),
        ("1ep:5ep", 2, "2ep", [18, 30]),
        ("0ep:5ep", 5, None, [6, 12, 18, 24, 30]),
        ("1ep:5ep", 8, None, [9, 12, 15, 18, 21, 24, 27, 30]),
        ("4it:20it", 4, None, [8, 12, 16, 20]),
        ("4it:20it", 8, "2it", [6, 8, 10, 12, 14, 16, 18, 20]),
    ],
)
@pytest.mark.parametrize("scheduler", [step_decay, one_cycle_lr, None])
def test_cycles_begin_at_equal_intervals_and_the_rates_go_on(during, cycles, retrain, begins, scheduler):
    rates, plain, zeros = Rates(), Rates(), Zeros()
    fit([plain], toy(scheduler=scheduler), max_epochs=6)
    schedule = Cubic(final=0.8, cycles=cycles)
    pruning = IterativePruning(cycles=cycles, retrain=retrain, sparsity=schedule, during=during)
    trainer = fit([pruning, rates, zeros], toy(scheduler=scheduler), max_epochs=6)
    assert rates.steps == plain.steps
    assert zeros.after == expected(schedule, begins, 6 * STEPS)
    assert trainer.max_epochs == 6


@pytest.mark.parametrize(
    ("during", "start", "begins"),
    [("1ep:4ep", 6, [12, 18, 24]), ("0ep:3ep", 0, [6, 12, 18]), ("3it:12it", 3, [6, 9, 12])],
)
@pytest.mark.parametrize(
    "schedule", [Cubic(0.8, 3, initial=0.3), Linear(0.8, 3, initial=0.3), Geometric(0.2, initial=0.3)]
)
def test_an_initial_sparsity_is_that_of_the_start_of_the_span(schedule, during, start, begins):
    """Zhu and Gupta prune to the initial sparsity at t0, and n times after it."""
    zeros = Zeros()
    pruning = IterativePruning(cycles=3, sparsity=schedule, during=during)
    fit([pruning, zeros], toy(), max_epochs=5)
    after = expected(schedule, begins, 5 * STEPS)
    assert zeros.after == [SIZE - round(0.7 * SIZE) if start <= step < begins[0] else n for step, n in enumerate(after)]


def test_a_network_that_has_the_initial_sparsity_is_not_pruned_again_before_the_first_cycle():
    module, zeros, asked = toy(), Zeros(), []
    with torch.no_grad():
        for i in (0, 4, 7):
            module.net[i].weight[module.net[i].weight.abs() < module.net[i].weight.abs().quantile(0.35)] = 0
    dead = sum(int((module.net[i].weight == 0).sum()) for i in (0, 4, 7))

    class Prunes(Callback):
        def on_prune_start(self, trainer, pl_module):
            asked.append(trainer.global_step)

    schedule = Cubic(0.8, 2, initial=dead / SIZE)
    pruning = IterativePruning(cycles=2, sparsity=schedule, during="1ep:3ep", initial_masks="zeros")
    fit([pruning, zeros, Prunes()], module, max_epochs=4)
    assert asked == [12, 18]
    assert zeros.after[:12] == [dead] * 12


def test_stopped_after_the_initial_prune_it_is_not_made_twice(tmp_path):
    def run(folder, ckpt_path=None):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        pruning = IterativePruning(cycles=2, sparsity=Cubic(0.8, 2, initial=0.3), during="1ep:3ep")
        fit([pruning, keep], module := toy(), Images(shuffle=True), ckpt_path, max_epochs=4)
        return module.state_dict()

    whole = run(tmp_path / "whole")
    for epoch in (0, 1):
        assert equal(run(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt"), whole)


def test_the_sparsity_of_the_dense_run_is_what_the_schedule_begins_with():
    assert IterativePruning(sparsity=Geometric(0.2, initial=0.5)).scheduled(0) == 0.5
    assert IterativePruning(sparsity=Geometric(0.2)).scheduled(0) == 0
    assert IterativePruning(cycles=2, sparsity=lambda cycle: [0.5, 0.9][cycle - 1]).scheduled(0) == 0
    with pytest.raises(
        ValueError, match="begins the span at the sparsity of cycle 0, 0.9, and falls to 0.5 in cycle 1"
    ):
        IterativePruning(cycles=2, sparsity=Backwards(), during="1ep:3ep")


class Backwards(SparsitySchedule):
    def __call__(self, cycle):
        return [0.5, 0.9][cycle - 1]


def test_it_works_inside_a_run_of_steps_and_beside_a_plateau_schedule():
    zeros, schedule = Zeros(), Geometric(0.3)
    pruning = IterativePruning(cycles=3, sparsity=schedule, during="3it:12it")
    trainer = fit([pruning, zeros], toy(scheduler=plateau), max_epochs=None, max_steps=20)
    assert trainer.global_step == 20
    assert zeros.after == expected(schedule, [6, 9, 12], 20)


def test_before_the_first_prune_it_is_bit_for_bit_the_dense_run():
    class Kept(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                self.state = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}

    with_it, without = Kept(), Kept()
    fit([IterativePruning(cycles=2, during="1ep:3ep"), with_it], toy(), Images(shuffle=True))
    fit([without], toy(), Images(shuffle=True))
    assert equal(with_it.state, without.state)


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    def run(folder, ckpt_path=None):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        module, rates = toy(scheduler=one_cycle_lr), Rates()
        pruning = IterativePruning(cycles=4, sparsity=Cubic(0.8, 4), during="1ep:5ep")
        fit([pruning, rates, keep], module, Images(shuffle=True), ckpt_path, max_epochs=6, enable_checkpointing=True)
        return module.state_dict(), rates.steps

    whole, rates = run(tmp_path / "whole")
    for epoch in range(5):
        again, later = run(tmp_path / f"from {epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert later == rates[len(rates) - len(later) :]
        assert equal(again, whole), epoch


def test_an_early_stop_ends_the_run():
    class Flat(type(toy())):
        def validation_step(self, batch, index):
            self.log("val_loss", torch.tensor(1.0))

    pruning = IterativePruning(cycles=4, during="1ep:5ep")
    trainer = fit([EarlyStopping("val_loss", patience=1), pruning], Flat(), max_epochs=6)
    assert trainer.current_epoch == 2


REFUSED = {
    "no span": ({"during": "5ep"}, [], r"during='5ep'\) is not a span: write '5ep:25ep'"),
    "a span that ends before it starts": ({"during": "5ep:2ep"}, [], "is not a span"),
    "two units": ({"during": "5ep:70it"}, [], "is not a span"),
    "no cycles": ({"during": "1ep:3ep", "cycles": 0}, [], "prunes nothing"),
    "a span beyond the run": ({"during": "1ep:9ep"}, [], r"ends at or after the end of the dense run \(4ep\)"),
    "intervals that do not fit": ({"during": "1ep:3ep", "retrain": "2ep"}, [], "2 intervals of 2ep are not 2ep"),
    "a span that cannot be divided": ({"during": "0it:5it"}, [], "cannot be divided into 2 equal intervals"),
    "a policy": ({"during": "1ep:3ep"}, [LRRewind], "LRRewind would set them. Leave out LRRewind"),
    "a rewind": ({"during": "1ep:3ep"}, [lambda: WeightRewind(0)], "Leave out WeightRewind"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "beside", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_before_training(arguments, beside, message):
    rates = Rates()
    with pytest.raises(ValueError, match=message):
        fit([IterativePruning(**{"cycles": 2, **arguments}), *[make() for make in beside], rates], toy())
    assert not rates.steps
