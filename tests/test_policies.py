"""What holds for every learning-rate policy: the members are collected from the modules."""

import importlib
import inspect
import itertools
import math
import pkgutil
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest
from jsonargparse import ArgumentParser
from torch.optim.lr_scheduler import ExponentialLR

from lightning_prune import Cycle
from lightning_prune.callbacks import learning_rate, policies
from lightning_prune.callbacks.learning_rate import (
    AdaptiveLinearRestart,
    ConstantRate,
    CosineRestart,
    Cyclical,
    CyclicRestart,
    FineTune,
    LinearRestart,
    LRRewind,
    OneCycleRetrain,
    PruningAware,
    ScaledRestart,
    ScheduleRestart,
    SchedulerRestart,
    SCyclical,
    SILOSchedule,
    WarmupSteps,
)
from lightning_prune.callbacks.policy import LearningRatePolicy
from lightning_prune.callbacks.tape import Rate
from lightning_prune.durations import Duration

T, EPOCHS = 100, 10  # the dense run
DENSE = [0.1] * 50 + [0.01] * 25 + [0.001] * 25


def members():
    """Every policy that the package has."""
    modules = [
        importlib.import_module(f"{policies.__name__}.{m.name}") for m in pkgutil.iter_modules(policies.__path__)
    ]
    return {
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, LearningRatePolicy)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    }


@dataclass(frozen=True)
class Claim:
    """What a policy says about a cycle over ``DENSE``.

    ``last`` is the rate of the last step of n, where n is at least ``least``; ``jumps`` how often neighbouring steps
    lie far apart; the momentum stays in ``momenta``.
    """

    make: object
    low: float
    high: float
    last: object
    jumps: int = 0
    least: int = 1
    momenta: tuple[float, float] = (0.9, 0.9)


def allr():
    policy = AdaptiveLinearRestart()
    policy.fraction = 0.4
    return policy


def rising(n):
    return n - int(0.1 * n)


SILO_PEAK = 0.03 + 0.04 / (1 + (0.488 / 0.512) ** -5)  # of cycle 4, where 1 - 0.8 ** 3 is gone since cycle 1
CLAIMS = {
    "FineTune": Claim(FineTune, 0.001, 0.001, lambda n: 0.001),
    "ConstantRate": Claim(ConstantRate, 0.1, 0.1, lambda n: 0.1),
    "LRRewind": Claim(lambda: LRRewind(to=0), 0.001, 0.1, lambda n: DENSE[min(n, T) - 1], jumps=2),
    "ScheduleRestart": Claim(ScheduleRestart, 0.001, 0.1, lambda n: DENSE[min(n, T) - 1], jumps=2),
    "OneCycleRetrain": Claim(OneCycleRetrain, 1e-5, 0.1, lambda n: 1e-5, least=2),
    "OneCycleRetrain, cycled": Claim(
        partial(OneCycleRetrain, cycle_momentum=True), 1e-5, 0.1, lambda n: 1e-5, 0, 2, (0.85, 0.95)
    ),
    "CyclicRestart": Claim(CyclicRestart, 1e-5, 0.1, lambda n: 1e-5, 0, 2, (0.85, 0.95)),
    "CyclicRestart, not cycled": Claim(partial(CyclicRestart, cycle_momentum=False), 1e-5, 0.1, lambda n: 1e-5, 0, 2),
    "ScaledRestart": Claim(partial(ScaledRestart, interval="step"), 0.001, 0.1, lambda n: 0.001, jumps=2),
    "LinearRestart": Claim(LinearRestart, 0, 0.1, lambda n: 0.1 / rising(n)),
    "AdaptiveLinearRestart": Claim(allr, 0, 0.04, lambda n: 0.04 / rising(n)),
    "CosineRestart": Claim(CosineRestart, 0, 0.1, lambda n: 0.05 * (1 - math.cos(math.pi / rising(n))) if n > 1 else 0.1),
    "WarmupSteps": Claim(WarmupSteps, 0, 0.1, lambda n: 0.001, jumps=2, least=2),
    "SILOSchedule": Claim(partial(SILOSchedule, 0.03, 0.04), 0, SILO_PEAK, lambda n: SILO_PEAK / 100, jumps=2, least=2),
    "Cyclical": Claim(partial(Cyclical, half_period=0.25), 0, 0.1, lambda n: 0.4 / n, least=4),
    "SCyclical": Claim(partial(SCyclical, 0.03, 0.04, half_period=0.25), 0, SILO_PEAK, lambda n: SILO_PEAK * 4 / n, least=4),
    "PruningAware": Claim(PruningAware, 0.00025, 0.001, lambda n: 0.00025),
    "SchedulerRestart": Claim(
        lambda: SchedulerRestart(partial(ExponentialLR, gamma=0.996), "step"), 0, 0.1, lambda n: 0.1 * 0.996 ** (n - 1)
    ),
}  # fmt: skip
every_claim = pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)


def test_every_policy_is_found_exported_and_claims_something():
    names = {member.__name__ for member in members()}
    assert {name.split(",")[0] for name in CLAIMS} == names
    assert all(getattr(learning_rate, member.__name__) is member for member in members())


def prepared(policy, steps, unit="it"):
    """A policy after the dense run, with a clock; two parameter groups."""
    for step, lr in enumerate(DENSE):
        if step % (T // EPOCHS) == 0:
            policy.tape.begin_epoch(step // (T // EPOCHS), step)
        policy.tape.record(step, (Rate(lr, 0.9), Rate(lr / 4, 0.9)))
    policy._clock = SimpleNamespace(
        cycle_length=Duration(steps, unit),
        dense_length=Duration(EPOCHS, "ep"),
        scheduled=lambda cycle: 1 - 0.8**cycle,
    )
    return policy


def rows(policy, steps, index=4):
    cycle = Cycle(index=index, first_step=T, steps=steps, sparsity=1 - 0.8**index)
    return [policy.rates(step, cycle) for step in range(steps)]


LENGTHS = [1, 2, 3, 4, 11, 40, 96, 2000]


@pytest.mark.parametrize("steps", LENGTHS)
@every_claim
def test_rates_stay_in_their_range_and_end_where_they_should(claim, steps):
    lrs = [row[0].lr for row in rows(prepared(claim.make(), steps), steps)]
    slack = 1e-6 * claim.high
    assert all(math.isfinite(lr) and lr >= 0 for lr in lrs)
    assert all(claim.low - slack <= lr <= claim.high + slack for lr in lrs)
    if steps >= claim.least:
        assert lrs[-1] == pytest.approx(claim.last(steps), rel=1e-5)


@every_claim
def test_the_ends_of_the_range_are_reached(claim):
    """At the cycle's own density; the S of PruningAware has its high end where nothing is pruned."""
    reached = [row[0].lr for index in (0, 4, 40) for row in rows(prepared(claim.make(), 2000), 2000, index)]
    assert max(reached) >= claim.high * 0.999
    assert min(reached) <= claim.low + 0.001 * claim.high


@every_claim
def test_neighbouring_steps_are_close_but_where_the_paper_drops(claim):
    lrs = [row[0].lr for row in rows(prepared(claim.make(), 2000), 2000)]
    neighbours = list(itertools.pairwise(lrs))
    drops = [(one, next) for one, next in neighbours if next < one / 5 and one > 0.01 * claim.high]
    assert len(drops) == claim.jumps
    rest = [abs(next - one) for one, next in neighbours if (one, next) not in drops]
    assert max(rest) <= 0.011 * claim.high, "a rise or a slow fall has no jump"


@pytest.mark.parametrize("steps", [1, 40])
@every_claim
def test_groups_keep_their_ratio_and_the_momentum_its_range(claim, steps):
    low, high = claim.momenta
    for row in rows(prepared(claim.make(), steps), steps):
        assert len(row) == 2
        assert row[1].lr == pytest.approx(row[0].lr / 4, rel=1e-9, abs=0)
        assert all(low - 1e-12 <= rate.momentum <= high + 1e-12 for rate in row)


@every_claim
def test_a_rate_depends_on_nothing_but_the_step_and_the_cycle(claim):
    steps = 40
    policy = prepared(claim.make(), steps)
    cycle = Cycle(index=4, first_step=T, steps=steps, sparsity=1 - 0.8**4)
    forwards = rows(policy, steps)
    backwards = [policy.rates(step, cycle) for step in reversed(range(steps))]
    assert [tuple(row) for row in backwards[::-1]] == [tuple(row) for row in forwards]
    fresh = prepared(claim.make(), steps)
    assert tuple(fresh.rates(23, cycle)) == tuple(forwards[23])


@every_claim
def test_a_state_is_plain_and_brings_back_every_rate(claim):
    policy, again = prepared(claim.make(), 40), claim.make()
    state = policy.state_dict()
    again.forget()
    again._clock = policy._clock
    again.load_state_dict(state)
    assert [tuple(row) for row in rows(again, 40)] == [tuple(row) for row in rows(policy, 40)]


def test_a_rate_per_epoch_changes_with_the_epoch_only():
    for policy in (
        ScaledRestart(),
        CosineRestart(interval="epoch"),
        SchedulerRestart(partial(ExponentialLR, gamma=0.9)),
    ):
        lrs = [row[0].lr for row in rows(prepared(policy, 20, "ep"), 60)]
        assert all(len(set(lrs[3 * epoch : 3 * epoch + 3])) == 1 for epoch in range(20))
        assert len(set(lrs)) > 4
        by_step = type(policy)(**{**arguments(policy), "interval": "step"})
        assert lrs[::3] == [row[0].lr for row in rows(prepared(by_step, 20), 20)]


def arguments(policy):
    return {name: getattr(policy, name) for name in inspect.signature(type(policy)).parameters}


# YAML.

REQUIRED = {
    "SILOSchedule": {"low": 0.03, "rise": 0.04},
    "SCyclical": {"low": 0.03, "rise": 0.04},
    "SchedulerRestart": {
        "scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 2, "gamma": 0.5}}
    },
}


def parsed(name, init_args):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--policy", type=LearningRatePolicy)
    config = parser.parse_object(
        {"policy": {"class_path": f"lightning_prune.callbacks.learning_rate.{name}", "init_args": init_args}}
    )
    dump = parser.dump(config)
    assert parser.dump(parser.parse_string(dump)) == dump
    return parser.instantiate(config).policy


@pytest.mark.parametrize("member", sorted(members(), key=lambda m: m.__name__), ids=lambda m: m.__name__)
def test_every_policy_comes_from_yaml_and_stores_its_arguments_under_their_names(member):
    given = REQUIRED.get(member.__name__, {})
    policy = parsed(member.__name__, given)
    assert type(policy) is member
    for name, parameter in inspect.signature(member).parameters.items():
        expected = given.get(name, parameter.default)
        if name == "drops":
            assert tuple(policy.drops) == tuple(expected)  # YAML knows lists only
        elif name != "scheduler":
            assert getattr(policy, name) == expected
    assert len(rows(prepared(policy, 7), 7)) == 7


def test_a_scheduler_from_yaml_is_told_apart_when_a_run_is_resumed():
    from lightning_prune.callbacks.settings import describe_object

    one, again = (describe_object(parsed("SchedulerRestart", REQUIRED["SchedulerRestart"])) for _ in range(2))
    assert one == again
    assert " at 0x" not in one


def test_a_plateau_from_yaml_is_refused_before_anything_runs():
    plateau = {"scheduler": {"class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau"}}
    with pytest.raises(ValueError, match="depends on what is measured"):
        parsed("SchedulerRestart", plateau)
