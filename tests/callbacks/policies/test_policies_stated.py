"""What each published policy states of its rates: the ends of its range, the last step, and tables of the papers."""

import math
from dataclasses import dataclass
from functools import partial

import pytest
from policy_members import DENSE, T, prepared, rows
from torch.optim.lr_scheduler import ExponentialLR

from lightning_prune import Cycle
from lightning_prune.callbacks import policies as learning_rate
from lightning_prune.callbacks.policies import (
    AdaptiveLinearRestart,
    CompressedRestart,
    ConstantRate,
    CosineRestart,
    Cyclical,
    CyclicRestart,
    DenseScheduleRestart,
    FineTune,
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


@dataclass(frozen=True)
class Stated:
    """The range of a policy's rates over ``DENSE``, and the rate of the last step of n, where n is at least ``least``."""

    make: object
    low: float
    high: float
    last: object
    least: int = 1


def allr():
    policy = AdaptiveLinearRestart()
    policy.fraction = 0.4
    return policy


def falling(n):
    return n - int(0.1 * n)


def replayed(n):
    return DENSE[min(n, T) - 1]


def compressed(n):
    return DENSE[(falling(n) - 1) * T // falling(n)]


SILO_PEAK = 0.03 + 0.04 / (1 + (0.488 / 0.512) ** -5)  # of cycle 4, where 1 - 0.8 ** 3 is gone since cycle 1
STATED = {
    "FineTune": Stated(FineTune, 0.001, 0.001, lambda n: 0.001),
    "FineTune, given": Stated(partial(FineTune, lr=0.02), 0.02, 0.02, lambda n: 0.02),
    "ConstantRate": Stated(ConstantRate, 0.1, 0.1, lambda n: 0.1),
    "LRRewind": Stated(lambda: LRRewind(to=0), 0.001, 0.1, replayed),
    "DenseScheduleRestart": Stated(DenseScheduleRestart, 0.001, 0.1, replayed),
    "CompressedRestart": Stated(CompressedRestart, 0, 0.1, compressed),
    "OneCycleRetrain": Stated(OneCycleRetrain, 1e-5, 0.1, lambda n: 1e-5, 2),
    "CyclicRestart": Stated(CyclicRestart, 1e-5, 0.1, lambda n: 1e-5, 2),
    "ScaledRestart": Stated(partial(ScaledRestart, interval="step"), 0.001, 0.1, lambda n: 0.001),
    "LinearRestart": Stated(LinearRestart, 0, 0.1, lambda n: 0.1 / falling(n)),
    "AdaptiveLinearRestart": Stated(allr, 0, 0.04, lambda n: 0.04 / falling(n)),
    "CosineRestart": Stated(CosineRestart, 0, 0.1, lambda n: 0.05 * (1 - math.cos(math.pi / falling(n)))),
    "WarmupSteps": Stated(WarmupSteps, 0, 0.1, lambda n: 0.001, 2),
    "SILOSchedule": Stated(partial(SILOSchedule, 0.03, 0.04), 0, SILO_PEAK, lambda n: SILO_PEAK / 100, 2),
    "Cyclical": Stated(partial(Cyclical, half_period=0.25), 0, 0.1, lambda n: 0.4 / n, 4),
    "SCyclical": Stated(partial(SCyclical, 0.03, 0.04, half_period=0.25), 0, SILO_PEAK, lambda n: SILO_PEAK * 4 / n, 4),
    "PruningAware": Stated(PruningAware, 0.00025, 0.001, lambda n: 0.00025),
    "TorchScheduler": Stated(
        lambda: TorchScheduler(partial(ExponentialLR, gamma=0.996), "step"), 0, 0.1, lambda n: 0.1 * 0.996 ** (n - 1)
    ),
}  # fmt: skip
every_statement = pytest.mark.parametrize("stated", STATED.values(), ids=STATED)


def test_every_public_policy_states_its_rates():
    public = {name for name in vars(learning_rate) if isinstance(getattr(learning_rate, name), type)}
    assert {name.split(",")[0] for name in STATED} == public


@pytest.mark.parametrize("steps", [1, 2, 4, 11, 96, 1000])
@every_statement
def test_rates_stay_in_their_range_and_end_where_they_should(stated, steps):
    lrs = [row[0].lr for row in rows(prepared(stated.make(), steps), steps)]
    assert min(lrs) >= stated.low * (1 - 1e-6)
    assert max(lrs) <= stated.high * (1 + 1e-6)
    if steps >= stated.least:
        assert lrs[-1] == pytest.approx(stated.last(steps), rel=1e-6)


@every_statement
def test_the_ends_of_the_range_are_reached(stated):
    """At the cycle's own density; the S of PruningAware has its high end where nothing is pruned."""
    reached = [row[0].lr for index in (0, 4, 40) for row in rows(prepared(stated.make(), 2000), 2000, index)]
    assert max(reached) >= stated.high * 0.999
    assert min(reached) <= stated.low + 0.001 * stated.high


# SILO: cycle -> the peak, for (low, rise) of ResNet-20 and of VGG-19.
SILO = {
    0: (0.03, 0.04), 1: (0.03, 0.04), 2: (0.03004, 0.04006), 3: (0.03213, 0.0432), 4: (0.04761, 0.06642),
    5: (0.06446, 0.09169), 6: (0.06893, 0.09839), 7: (0.06977, 0.09966), 8: (0.06995, 0.09992), 9: (0.06999, 0.09998),
    12: (0.07, 0.1), 24: (0.07, 0.1),
}  # fmt: skip


@pytest.mark.parametrize("index", SILO)
def test_silos_peaks_are_those_of_its_table(index):
    for (low, rise), peak in zip(((0.03, 0.04), (0.04, 0.06)), SILO[index], strict=True):
        policy = prepared(SILOSchedule(low, rise, warmup=0.25), 40)
        assert [round(row[0].lr, 5) for row in rows(policy, 40, index)][9:20] == [peak] * 11
        assert round(policy.peak(0.8**index, 0.8), 5) == peak


def test_silos_peak_is_the_expression_of_the_authors_code():
    for index in range(2, 25):
        gamma = 1 - 0.8 ** (index - 1)
        expected = 0.03 + 0.04 / (1 + (gamma / (1 - gamma)) ** -5)
        policy = prepared(SILOSchedule(0.03, 0.04, warmup=0), 2)
        assert rows(policy, 2, index)[0][0].lr == pytest.approx(expected, rel=1e-12)
        later = [SILOSchedule(0.03, 0.04, delay=3, warmup=0), SCyclical(0.03, 0.04, delay=3, half_period=1)]
        for policy, apex in zip(later, (0, 1), strict=True):
            assert rows(prepared(policy, 2), 2, index + 2)[apex][0].lr == pytest.approx(expected, rel=1e-12)


def test_silos_cycle_has_the_fractions_of_the_released_script():
    per_epoch = 563  # 36,000 images in batches of 64: the warm-up of 20,000 steps is not over at epoch 25
    policy = prepared(SILOSchedule(0.03, 0.04, warmup=20_000), 50 * per_epoch)
    cycle = first_cycle(50 * per_epoch)
    found = [policy.rates(step, cycle)[0].lr for step in (0, 14_074, 14_075, 18_016)]
    assert found == pytest.approx([0.03 / 20_000, 0.03 * 0.70375, 0.003, 0.0003], rel=1e-9)


def first_cycle(steps):
    return Cycle(index=1, first_step=T, steps=steps, sparsity=0.2)


# LRW on CIFAR, from the dense run of 160 epochs with drops at 80 and 120: budget -> the first rate, and the drops.
LRW = {40: (0.001, []), 56: (0.01, [16]), 72: (0.01, [32]), 104: (0.1, [24, 64]), 152: (0.1, [72, 112])}


@pytest.mark.parametrize("epochs", LRW)
def test_rewound_rates_are_those_of_le_and_huas_code(epochs):
    first, drops = LRW[epochs]
    dense = [0.1] * 160 + [0.01] * 80 + [0.001] * 80  # two steps an epoch
    policy = LRRewind()
    prepared(policy, epochs, "ep", dense)
    policy.tape.epochs[:] = range(0, 320, 2)
    found = [row[0].lr for row in rows(policy, 2 * epochs)][::2]
    assert found == pytest.approx([first * 0.1 ** sum(epoch >= drop for drop in drops) for epoch in range(epochs)])


# CLR: fraction of the cycle -> rate and momentum.
CLR = {
    0: (0.001, 0.95), 0.05: (0.0505, 0.9), 0.1: (0.1, 0.85), 0.25: (0.0933, 0.8567), 0.5: (0.0587, 0.8913),
    0.75: (0.0179, 0.9321), 0.9: (0.003, 0.947), 1: (1e-5, 0.95),
}  # fmt: skip


@pytest.mark.parametrize("fraction", CLR)
def test_clrs_golden_points(fraction):
    steps = 20_001
    policy = prepared(CyclicRestart(), steps)
    (rate, _) = policy.rates(round(fraction * (steps - 1)), first_cycle(steps))
    assert (round(rate.lr, 4), round(rate.momentum, 4)) == (round(CLR[fraction][0], 4), CLR[fraction][1])
