"""What holds for every learning-rate policy that the package has, as its own Example makes it.

Nothing is listed here: the policies are those of the files in ``callbacks/policies``, and what is expected of one
follows from the policy itself, such as ``highest`` and its ``drops``.
"""

import dataclasses
import inspect
import itertools
import math
import re
from functools import partial
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser
from policy_members import arguments, cycle_of, example, members, needs_arguments, prepared, rows
from toys import Images, Rates, equal, fit, toy

import lightning_prune
from lightning_prune import IterativePruning
from lightning_prune.callbacks import policies
from lightning_prune.callbacks import policies as learning_rate
from lightning_prune.callbacks.policies.base import LearningRatePolicy, ShapedRate
from lightning_prune.callbacks.settings.described import describe_object

SMOOTH = [0.001 + 0.099 / 2 * (1 + math.cos(math.pi * step / 199)) for step in range(200)]


def makers():
    """How to make each policy: as in its Example, and with its defaults where it has some for all arguments."""
    for member in members():
        yield pytest.param(partial(member, **arguments(example(member))), id=f"{member.__name__}, example")
        if not needs_arguments(member):
            yield pytest.param(member, id=member.__name__)


def kind(maker):
    return type(maker.values[0]())


MAKERS = list(makers())
every_policy = pytest.mark.parametrize("make", MAKERS)
every_shape = pytest.mark.parametrize("make", [maker for maker in MAKERS if issubclass(kind(maker), ShapedRate)])
every_curve = pytest.mark.parametrize(  # a scheduler of torch may do anything
    "make", [maker for maker in MAKERS if "scheduler" not in inspect.signature(kind(maker)).parameters]
)


def highest(policy, cycle):
    """What a policy says that its highest rate is; without a word, that of the dense run."""
    return policy.highest(cycle) if isinstance(policy, ShapedRate) else max(policy.tape.peaks())


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 11, 96])
@pytest.mark.parametrize("index", [1, 4])
@every_policy
def test_rates_are_finite_never_negative_and_never_above_the_highest(make, index, steps):
    policy = prepared(make(), steps)
    top = highest(policy, cycle_of(steps, index))
    for row in rows(policy, steps, index):
        assert all(math.isfinite(rate.lr) and 0 <= rate.lr <= top * (1 + 1e-9) for rate in row)


@pytest.mark.parametrize("index", [1, 4])
@every_shape
def test_a_long_cycle_reaches_the_highest_rate(make, index):
    policy = prepared(make(), 2000)
    reached = max(row[0].lr for row in rows(policy, 2000, index))
    assert reached == pytest.approx(policy.highest(cycle_of(2000, index)), rel=1e-3)


@every_curve
def test_neighbouring_steps_are_close_but_where_the_policy_drops(make):
    """After a smooth dense run, so that what replays it is smooth, too."""
    policy = prepared(make(), 2000, dense=SMOOTH)
    lrs = [row[0].lr for row in rows(policy, 2000)]
    jumps = [after - before for before, after in itertools.pairwise(lrs) if abs(after - before) > 0.02 * max(lrs)]
    assert len(jumps) == len(getattr(policy, "drops", ()))
    assert all(jump < 0 for jump in jumps), "a rate that goes up in a jump"


@pytest.mark.parametrize("steps", [1, 40])
@every_policy
def test_groups_keep_their_ratio_and_the_momentum_is_one(make, steps):
    for row in rows(prepared(make(), steps), steps):
        assert len(row) == 2
        assert row[1].lr == pytest.approx(row[0].lr / 4, rel=1e-9, abs=0)
        assert all(0.85 - 1e-12 <= rate.momentum <= 0.95 + 1e-12 for rate in row)


@every_policy
def test_a_rate_depends_on_nothing_but_the_step_and_the_cycle(make):
    steps = 40
    policy = prepared(make(), steps)
    forwards = rows(policy, steps)
    backwards = [policy.rates(step, cycle_of(steps)) for step in reversed(range(steps))]
    assert [tuple(row) for row in backwards[::-1]] == [tuple(row) for row in forwards]
    fresh = prepared(make(), steps)
    assert tuple(fresh.rates(23, cycle_of(steps))) == tuple(forwards[23])


def scribbled(policy):
    """A policy after some fit: whatever it remembers is another number than before."""
    prepared(policy, 40)
    for name, value in vars(policy).items():
        if isinstance(value, float) and name not in arguments(policy):
            setattr(policy, name, 0.4)
    return policy


@every_policy
def test_a_state_is_plain_and_brings_back_every_rate(make):
    policy, again = scribbled(make()), make()
    again.forget()
    again._clock = policy._clock
    again.load_state_dict(policy.state_dict())
    assert [tuple(row) for row in rows(again, 40)] == [tuple(row) for row in rows(policy, 40)]


@every_policy
def test_a_policy_that_is_used_again_has_forgotten_the_first_fit(make):
    def left(policy):
        remembered = {name: value for name, value in vars(policy).items() if name not in ("tape", "_clock")}
        return [remembered, policy.tape.state_dict()]

    used = scribbled(make())
    rows(used, 40)
    used.forget()
    assert equal(left(used), left(make()))


@pytest.mark.parametrize(
    "member", [member for member in members() if "interval" in inspect.signature(member).parameters]
)
def test_a_rate_per_epoch_changes_with_the_epoch_only(member):
    given = arguments(example(member))
    lrs = [row[0].lr for row in rows(prepared(member(**{**given, "interval": "epoch"}), 20, "ep"), 60)]
    assert all(len(set(lrs[3 * epoch : 3 * epoch + 3])) == 1 for epoch in range(20))
    assert len(set(lrs)) > 4
    assert lrs[::3] == [row[0].lr for row in rows(prepared(member(**{**given, "interval": "step"}), 20), 20)]


# YAML.


def for_yaml(value):
    if isinstance(value, partial):  # of a scheduler
        return {"class_path": f"{value.func.__module__}.{value.func.__qualname__}", "init_args": value.keywords}
    if dataclasses.is_dataclass(value):  # a peak, or a course
        held = {name: for_yaml(one) for name, one in vars(value).items()}
        return {"class_path": f"{type(value).__module__}.{type(value).__qualname__}", "init_args": held}
    return list(value) if isinstance(value, tuple) else value


def parsed(path, init_args):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--policy", type=LearningRatePolicy)
    config = parser.parse_object({"policy": {"class_path": path, "init_args": init_args}})
    dump = parser.dump(config)
    assert parser.dump(parser.parse_string(dump)) == dump
    return parser.instantiate(config).policy


@pytest.mark.parametrize("member", members(), ids=lambda member: member.__name__)
def test_every_policy_comes_from_yaml_and_stores_its_arguments_under_their_names(member):
    path, given = f"{member.__module__}.{member.__name__}", arguments(example(member))
    policy = parsed(path, {name: for_yaml(value) for name, value in given.items()})
    assert type(policy) is member
    assert {n: for_yaml(v) for n, v in arguments(policy).items() if n != "scheduler"} == {
        n: for_yaml(v) for n, v in given.items() if n != "scheduler"
    }
    assert describe_object(policy) == describe_object(parsed(path, {n: for_yaml(v) for n, v in given.items()}))
    assert " at 0x" not in describe_object(policy), "it could not be told apart when a run is resumed"
    assert len(rows(prepared(policy, 7), 7)) == 7


def test_a_plateau_from_yaml_is_refused_before_anything_runs():
    plateau = {"scheduler": {"class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau"}}
    with pytest.raises(ValueError, match="depends on what is measured"):
        parsed("lightning_prune.TorchScheduler", plateau)


# One file for a policy.


def test_what_has_a_public_name_has_it_in_both_places():
    """One without is named by its dotted path."""
    names = {name for name in vars(learning_rate) if isinstance(getattr(learning_rate, name), type)}
    assert len(names) >= 16
    assert {getattr(learning_rate, name) for name in names} <= set(members())
    assert all(getattr(learning_rate, name) is getattr(lightning_prune, name) for name in names)


def test_a_policy_is_one_file(tmp_path, monkeypatch):
    """The snippet of the README, as a file beside the others, is found, comes from YAML and trains."""
    text = (Path(lightning_prune.__file__).parents[1] / "README.md").read_text()
    snippet = next(
        block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "(ShapedRate)" in block
    )
    (tmp_path / "added.py").write_text(snippet)
    monkeypatch.setattr(policies, "__path__", [*policies.__path__, str(tmp_path)])
    (found,) = [member for member in members() if member.__module__.endswith(".added")]
    policy, rates = parsed(f"{found.__module__}.{found.__name__}", {}), Rates()
    fit([IterativePruning(cycles=1, retrain="2ep"), policy, rates], toy(), Images(), max_epochs=2)
    assert rates.lr()[12:] == pytest.approx([0.1 * (1 - step / 12) for step in range(12)])
