"""Golden values of the papers' code, and independent oracles: torch's own schedulers, and formulas written again."""

import math
import warnings
from functools import partial

import pytest
import torch
from policy_members import DENSE, prepared, rows
from torch.optim import lr_scheduler as schedulers

from lightning_prune.callbacks.policies import (
    CompressedRestart,
    CosineRestart,
    Cyclical,
    CyclicRestart,
    DenseScheduleRestart,
    LinearRestart,
    OneCycleRetrain,
    PruningAware,
    ScaledRestart,
    SCyclical,
    SILOSchedule,
    TorchScheduler,
    WarmupSteps,
)
from lightning_prune.callbacks.policies.cyclical import Triangles
from lightning_prune.callbacks.policies.peaked import ConstantPeak, Peak, PeakedRate, SPeak
from lightning_prune.callbacks.policies.steps import Drops
from lightning_prune.schedules import rates


def lrs(policy, steps, unit="it", index=4, per_epoch=1):
    return [row[0].lr for row in rows(prepared(policy, steps, unit), steps * per_epoch, index)]


def torchs(make, steps, lrs=(0.1,), momentum=0.9):
    """The rates and momenta of a torch scheduler, one row for each step."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=momentum)
    scheduler, found = make(optimizer), []
    for step in range(steps):
        found.append([(group["lr"], group["momentum"]) for group in optimizer.param_groups])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return found


# SLR: epochs of the cycle -> the warm-up, as far as it is known, its length, and where 0.1, 0.01 and 0.001 begin.
SLR = {
    40: ([0.001, 0.015498, 0.0505, 0.085502], 4, 22, 31),
    72: ([0.001, 0.005902, 0.019637, 0.039485, 0.061515, 0.081363, 0.095098], 7, 39, 55),
    104: ([], 10, 56, 80),
    152: ([], 15, 83, 117),
}


@pytest.mark.parametrize("epochs", SLR)
def test_slr_is_le_and_huas_table_epoch_by_epoch(epochs):
    warmup, *begin = SLR[epochs]
    for policy, unit, per_epoch in ((ScaledRestart(), "ep", 1), (ScaledRestart(), "ep", 7), (ScaledRestart(interval="step"), "it", 1)):  # fmt: skip
        found = lrs(policy, epochs, unit, per_epoch=per_epoch)[::per_epoch]
        assert found[: len(warmup)] == pytest.approx(warmup, abs=1e-6)
        rise = [0.001 + 0.099 / 2 * (1 - math.cos(math.pi * epoch / begin[0])) for epoch in range(begin[0])]
        assert found[: begin[0]] == pytest.approx(rise, abs=1e-9)
        for first, last, lr in zip(begin, [*begin[1:], epochs], (0.1, 0.01, 0.001), strict=True):
            assert found[first:last] == pytest.approx([lr] * (last - first), abs=1e-9)


def test_slrs_drops_are_where_the_authors_code_has_them():
    for epochs in range(1, 200):
        warmup, drops = int(0.1 * epochs), [int(0.45 * epochs), int(0.675 * epochs)]
        for epoch in range(warmup, epochs):
            expected = 0.1 * 0.1 ** sum(epoch - warmup >= drop for drop in drops)
            found = rates.warmup_drops(epoch, epochs, 0.001, 0.1, 0.1, (0.5, 0.75), 0.1)
            assert math.isclose(found, expected, rel_tol=1e-9), (epochs, epoch)


def test_slr_on_imagenet_drops_at_thirds():
    found = lrs(ScaledRestart(max_lr=0.01, drops=(0.33, 0.66)), 45, "ep")
    assert found[4:17] == pytest.approx([0.01] * 13)
    assert found[17:30] == pytest.approx([0.001] * 13)
    assert found[30:] == pytest.approx([0.0001] * 15)


def compressed_by_the_authors_code(dense, budget, warmup_of_dense=0):
    """SLR of Zimmer et al., written again: rates by iteration, the dense warm-up replaced by the largest rate."""
    largest = max(dense)
    flat = [largest] * warmup_of_dense + dense[warmup_of_dense:]
    rise = int(0.1 * budget)
    up = [largest * (1 - math.cos(math.pi * t / rise)) / 2 for t in range(rise)]
    return up + [flat[int(j * len(dense) / (budget - rise))] for j in range(budget - rise)]


@pytest.mark.parametrize("steps", [1, 7, 20, 33, 100, 250])
def test_the_dense_schedule_compressed_is_that_of_the_authors_code(steps):
    assert lrs(CompressedRestart(), steps) == pytest.approx(compressed_by_the_authors_code(DENSE, steps), abs=1e-12)


@pytest.mark.parametrize("steps", [20, 77])
def test_a_warm_up_of_the_dense_run_is_not_repeated_but_counts_as_the_largest_rate(steps):
    dense = [0.1 * (step + 1) / 10 for step in range(10)] + [0.1 * (1 - step / 90) for step in range(90)]
    policy = prepared(CompressedRestart(), steps, dense=dense)
    found = [row[0].lr for row in rows(policy, steps)]
    assert found == pytest.approx(compressed_by_the_authors_code(dense, steps, warmup_of_dense=10), abs=1e-12)


def test_the_dense_schedule_compressed_by_hand():
    """A tenth of a step schedule of 160 epochs, dropping at 80 and 120, in 16: after the warm-up half and three quarters."""
    found = lrs(CompressedRestart(), 160)
    assert found[:2] == pytest.approx([0, 0.1 * (1 - math.cos(math.pi / 16)) / 2])
    assert [found[step] for step in (15, 16, 87, 88, 123, 124, 159)] == pytest.approx(
        [0.1 * (1 - math.cos(math.pi * 15 / 16)) / 2, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


@pytest.mark.parametrize("steps", [20, 97, 500, 72 * 40])
@pytest.mark.parametrize("cycled", [True, False])
def test_clr_is_torchs_one_cycle_with_the_authors_arguments(steps, cycled):
    expected = torchs(
        partial(schedulers.OneCycleLR, max_lr=0.1, total_steps=steps, div_factor=100, final_div_factor=100, pct_start=0.1, cycle_momentum=cycled),
        steps,
    )  # fmt: skip
    found = rows(prepared(CyclicRestart(cycle_momentum=cycled), steps), steps)
    for row, ((lr, momentum),) in zip(found, expected, strict=True):
        assert (row[0].lr, row[0].momentum) == pytest.approx((lr, momentum), rel=1e-9)


def test_clr_in_the_hrank_scripts_starts_at_a_tenth():
    found = lrs(CyclicRestart(div_factor=10), 100)
    assert (found[0], max(found), found[-1]) == pytest.approx((0.01, 0.1, 1e-4), rel=1e-6)


@pytest.mark.parametrize("steps", [15, 100, 777])
@pytest.mark.parametrize(("policy", "falls"), [
    (LinearRestart, lambda o, n: schedulers.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=n)),
    (CosineRestart, lambda o, n: schedulers.CosineAnnealingLR(o, T_max=n)),
    (partial(CosineRestart, final_lr=0.001), lambda o, n: schedulers.CosineAnnealingLR(o, T_max=n, eta_min=0.001)),
])  # fmt: skip
def test_llr_and_the_cosine_are_two_schedules_of_torch_one_after_the_other(policy, falls, steps):
    rise = int(0.1 * steps)
    up = torchs(lambda o: schedulers.CosineAnnealingLR(o, T_max=rise, eta_min=0.1), rise, lrs=(0.0,))
    down = torchs(lambda o: falls(o, steps - rise), steps - rise)
    assert lrs(policy(), steps) == pytest.approx([row[0][0] for row in up + down], rel=1e-6, abs=1e-9)


def test_llr_by_hand():
    assert lrs(LinearRestart(), 20)[:4] == pytest.approx([0, 0.05, 0.1, 0.1 * 17 / 18], abs=1e-12)
    assert lrs(LinearRestart(), 20)[-1] == pytest.approx(0.1 / 18)


def test_global_magnitude_prunings_cosine_changes_with_the_epoch_and_has_no_warmup():
    policy = CosineRestart(max_lr=0.1024, warmup=0, interval="epoch")
    found = lrs(policy, 120, "ep", per_epoch=3)
    assert found[::3] == pytest.approx([0.0512 * (1 + math.cos(math.pi * epoch / 120)) for epoch in range(120)])
    assert (found[2], found[180]) == pytest.approx((0.1024, 0.0512))


def test_allrs_drop_is_at_most_one_where_the_smallest_die_and_its_peak_is_clipped():
    generator = torch.Generator().manual_seed(0)
    for pruned in (0.01, 0.2, 0.5, 0.99):
        for weight in (torch.randn(1000, generator=generator), torch.rand(1000, generator=generator), torch.ones(1000)):
            gone = weight.abs().sort().values[: int(pruned * 1000)]
            drop = float(gone.norm() / weight.norm())
            found = rates.restart_peak(drop, pruned, budget=0.025)
            assert found == pytest.approx(max(drop / math.sqrt(pruned), 0.025), rel=1e-6)
            assert found <= 1 + 1e-6
    assert rates.restart_peak(0.9, 0.2, 0.1) == 1
    assert rates.restart_peak(0.0, 0.2, 1.5) == 1


def test_warmup_steps_has_the_fractions_of_the_released_scripts():
    per_epoch = 563  # 36,000 images in batches of 64
    policy = WarmupSteps(max_lr=0.03, warmup=20_000, drops=(25 * per_epoch, 32 * per_epoch))
    found = lrs(policy, 50 * per_epoch)
    assert found[25 * per_epoch - 1] == pytest.approx(0.03 * 14_075 / 20_000)  # 0.704 of the peak: it is never reached
    assert found[25 * per_epoch] == pytest.approx(0.003)
    assert found[32 * per_epoch] == pytest.approx(0.0003)
    assert found[0] == pytest.approx(0.03 / 20_000)


@pytest.mark.parametrize(("steps", "half"), [(40, 5), (97, 8), (300, 300), (4_000, 2000)])
def test_cyclical_is_torchs_triangle(steps, half):
    expected = torchs(
        partial(schedulers.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=half, cycle_momentum=False), steps
    )
    found = lrs(Cyclical(bottom=0.01, half_period=half), steps)
    assert found == pytest.approx([row[0][0] for row in expected], rel=1e-9)


def test_a_half_period_of_the_whole_cycle_is_none_of_one_step():
    assert lrs(Cyclical(half_period=1.0), 4) == pytest.approx([0, 0.025, 0.05, 0.075])
    assert lrs(Cyclical(half_period=1), 4) == pytest.approx([0, 0.1, 0, 0.1])


def test_a_bottom_above_the_dense_rates_is_no_reason_to_exceed_them():
    """How high these are is known when they are over, and then it is too late for an error."""
    assert set(lrs(Cyclical(bottom=0.5), 20)) == {0.1}


# S-Cyc: the peak of cycle m, as SILO's table has it for ResNet-20.
PEAKS = {1: 0.03, 2: 0.03004, 3: 0.03213, 4: 0.04761, 5: 0.06446, 6: 0.06893, 8: 0.06995, 12: 0.07}


@pytest.mark.parametrize("cycle", PEAKS)
def test_s_cycs_apexes_lie_on_the_s(cycle):
    found = lrs(SCyclical(low=0.03, rise=0.04, half_period=0.25), 80, index=cycle)
    assert [round(found[apex], 5) for apex in (20, 60)] == [PEAKS[cycle]] * 2
    assert found[0] == found[40] == 0
    assert found[10] == pytest.approx(found[20] / 2)


# A peak of one paper with the course of another, and the papers' own pairs.
S, FLAT, DROPS, TRIANGLES = SPeak(0.03, 0.04), ConstantPeak(), Drops(0.4, (0.5, 0.8)), Triangles(0.01, 0.125)
PAIRS = {
    "WarmupSteps": (WarmupSteps(None, 0.4, (0.5, 0.8)), FLAT, DROPS),
    "SILOSchedule": (SILOSchedule(0.03, 0.04, warmup=0.4, drops=(0.5, 0.8)), S, DROPS),
    "Cyclical": (Cyclical(None, 0.01, 0.125), FLAT, TRIANGLES),
    "SCyclical": (SCyclical(0.03, 0.04, bottom=0.01, half_period=0.125), S, TRIANGLES),
}


@pytest.mark.parametrize("index", [1, 4])
@pytest.mark.parametrize("named", PAIRS)
def test_a_schedule_of_a_paper_is_a_peak_with_a_course(named, index):
    paper, peaks, course = PAIRS[named]
    assert lrs(PeakedRate(peaks, course), 80, index=index) == lrs(paper, 80, index=index)


def test_a_peak_of_ones_own_goes_with_any_course():
    class Thinner(Peak):
        def at(self, cycle, densities):
            return 0.1 * densities(cycle.index)

    assert max(lrs(PeakedRate(Thinner(), TRIANGLES), 80)) == pytest.approx(0.1 * 0.8**4)
    assert max(lrs(PeakedRate(Thinner(), DROPS), 80, index=1)) == pytest.approx(0.1 * 0.8)


@pytest.mark.parametrize(
    ("peaks", "course", "named"),
    [
        (SPeak(0.03, -0.04), DROPS, r"SPeak\(rise=-0.04, delay=1\): none may be negative"),
        (ConstantPeak(0.0), DROPS, r"ConstantPeak\(max_lr=0.0\) must be greater than 0"),
        (S, Triangles(bottom=-1), r"Triangles\(bottom=-1\) must be at least 0"),
        (S, Drops(drops=(0.8, 0.5)), r"Drops\(drops=\[0.8, 0.5\]\) must be positive and rise"),
    ],
)
def test_what_is_wrong_with_a_part_is_said_of_the_part(peaks, course, named):
    with pytest.raises(ValueError, match=named):
        PeakedRate(peaks, course)


def test_clr_is_the_one_cycle_with_its_momentum():
    found, one = CyclicRestart(), OneCycleRetrain(cycle_momentum=True)
    assert isinstance(found, OneCycleRetrain)
    for row, other in zip(rows(prepared(found, 40), 40), rows(prepared(one, 40), 40), strict=True):
        assert row[0] == pytest.approx(other[0], rel=1e-12)


# ICE: density -> rate, for the constants in a comment of the authors' code.
ICE = {1.0: 0.001, 0.92: 0.000992, 0.90: 0.00093, 0.88: 0.000625, 0.86: 0.00032, 0.82: 0.00025, 0.5: 0.00025}


@pytest.mark.parametrize("density", ICE)
def test_ices_rates_are_those_of_its_table(density):
    assert rates.pruning_aware(density, 0.001, 0.12, 50, 0.00075) == pytest.approx(ICE[density], abs=1e-6)


def test_ices_rate_is_the_papers_expression_where_that_has_a_value_and_its_limit_elsewhere():
    for turn in (0.1, 0.3, 0.6):
        edge = 2 * (1 - turn)
        for percent in range(1, 100):
            x = percent / 100
            found = rates.pruning_aware(x, 0.005, turn, 7, 0.0006)
            expected = 0.005 - 0.0006 / (1 + (x / (edge - x)) ** 7) if x < edge else 0.005
            assert found == pytest.approx(expected, rel=1e-9), (turn, x)
    policy = PruningAware(base=0.005, turn=0.2, beta=40, drop=0.0008)
    assert lrs(policy, 3, index=1) == pytest.approx([0.005 - 0.0004] * 3)


@pytest.mark.parametrize(
    ("length", "unit", "per_epoch"), [(20, "it", 1), (100, "it", 1), (8, "ep", 10), (13, "ep", 10)]
)
def test_the_schedule_from_its_start_keeps_its_pace_in_shorter_and_longer_cycles(length, unit, per_epoch):
    """In the reproducibility study the drops of a weight-rewound run are those of its own counter."""
    found = lrs(DenseScheduleRestart(), length, unit, per_epoch=per_epoch)
    dense = [0.1] * 50 + [0.01] * 25 + [0.001] * 75
    assert found == dense[: length * per_epoch]


def test_the_schedule_from_its_start_goes_by_epochs_where_epochs_have_fewer_steps():
    found = lrs(DenseScheduleRestart(), 10, "ep", per_epoch=5)
    assert found == [0.1] * 25 + [0.01] * 13 + [0.001] * 12


SCHEDULERS = {
    "steps": partial(schedulers.StepLR, step_size=7),
    "one cycle": partial(schedulers.OneCycleLR, max_lr=[0.2, 0.1], total_steps=30),
    "one rate for both": partial(schedulers.OneCycleLR, max_lr=0.2, total_steps=30),
    "triangles": partial(schedulers.CyclicLR, base_lr=0.01, max_lr=0.2, step_size_up=4),
    "warm restarts": partial(schedulers.CosineAnnealingWarmRestarts, T_0=4, T_mult=2),
    "by position": partial(lambda gamma, o: schedulers.ExponentialLR(o, gamma), 0.9),
    "by group": lambda o: schedulers.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)]),
    "one after the other": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.1, total_iters=5), schedulers.CosineAnnealingLR(o, 25)], milestones=[5]
    ),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_a_scheduler_gives_what_it_gives_on_an_optimizer_with_the_dense_rates(make):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter in")  # torch, of its own SequentialLR
        expected = torchs(make, 30, lrs=(0.1, 0.025))
        found = rows(prepared(TorchScheduler(make, "step"), 30), 30)
        again = rows(prepared(TorchScheduler(make, "epoch"), 30, "ep"), 90)[::3]
    assert [[tuple(rate) for rate in row] for row in found] == [[*row] for row in expected]
    assert again == found


def test_a_schedulers_start_is_the_given_peak():
    policy = TorchScheduler(partial(schedulers.StepLR, step_size=2), "step", max_lr=1.0)
    assert [[round(rate.lr, 6) for rate in row] for row in rows(prepared(policy, 3), 3)] == [
        [1, 0.25],
        [1, 0.25],
        [0.1, 0.025],
    ]
