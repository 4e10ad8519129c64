"""The learning-rate policies of the package, found in its files, and their rates without a training."""

import doctest
import importlib
import inspect
import pkgutil
from types import SimpleNamespace

from lightning_prune import Cycle
from lightning_prune.callbacks import policies
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.policies.tape import Rate
from lightning_prune.schedules.durations import Duration

T, EPOCHS = 100, 10  # the dense run


DENSE = [0.1] * 50 + [0.01] * 25 + [0.001] * 25


def members():
    """Every policy that the package has."""
    modules = [
        importlib.import_module(f"{policies.__name__}.{m.name}") for m in pkgutil.iter_modules(policies.__path__)
    ]
    return sorted(
        {
            member
            for module in modules
            for _, member in inspect.getmembers(module, inspect.isclass)
            if member.__module__ == module.__name__  # asked first: to Python 3.10 a `list[float]` is a class, too
            and issubclass(member, LearningRatePolicy)
            and not inspect.isabstract(member)
        },
        key=lambda member: member.__name__,
    )


def example(member):
    """The policy that the class's own Example makes, or the one of its defaults."""
    found = {}
    for test in doctest.DocTestFinder(recurse=False).find(
        member, globs=vars(importlib.import_module(member.__module__))
    ):
        doctest.DocTestRunner(verbose=False).run(test, clear_globs=False)
        found |= test.globs
    return next((made for made in found.values() if type(made) is member), None) or member()


def arguments(policy):
    return {name: getattr(policy, name) for name in inspect.signature(type(policy)).parameters}


def needs_arguments(member):
    return any(p.default is p.empty for p in inspect.signature(member).parameters.values())


def prepared(policy, steps, unit="it", dense=DENSE):
    """A policy after the dense run, with a clock; two parameter groups."""
    per_epoch = len(dense) // EPOCHS
    for step, lr in enumerate(dense):
        if step % per_epoch == 0:
            policy.tape.begin_epoch(step // per_epoch, step)
        policy.tape.record(step, (Rate(lr, 0.9), Rate(lr / 4, 0.9)))
    policy._clock = SimpleNamespace(
        cycle_length=Duration(steps, unit),
        dense_length=Duration(EPOCHS, "ep"),
        scheduled=lambda cycle: 1 - 0.8**cycle,
    )
    return policy


def cycle_of(steps, index=4):
    return Cycle(index=index, first_step=T, steps=steps, sparsity=1 - 0.8**index)


def rows(policy, steps, index=4):
    return [policy.rates(step, cycle_of(steps, index)) for step in range(steps)]
