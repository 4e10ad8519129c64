"""Runs of a dense part and two cycles that are watched: the steps, the rates and what lives after each step."""

import itertools

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader, IterableDataset
from toys import Images, Rates, fit, toy

from lightning_prune import IterativePruning, LRRewind, OneCycleRetrain
from lightning_prune.schedules.rates import one_cycle

POLICIES = {"rewind": LRRewind, "one cycle": lambda: OneCycleRetrain(warmup=0.5)}
every_policy = pytest.mark.parametrize("policy", POLICIES)
LIVING = [706, 565, 452]  # in the dense run and in each cycle


class Stream(IterableDataset):
    """Samples one after another, without a length."""

    def __init__(self, samples, endless=False):
        self.samples, self.endless = samples, endless

    def __iter__(self):
        order = itertools.count() if self.endless else range(len(self.samples))
        return (self.samples[index % len(self.samples)] for index in order)


class Streams(Images):
    endless = False

    def train_dataloader(self):
        return DataLoader(Stream(self.set, self.endless), batch_size=self.batch)


class EndlessStreams(Streams):
    endless = True


def each_step(optimizer, trainer):
    """A rate of its own for every step."""
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    return {"scheduler": scheduler, "interval": "step"}


class Watch(Callback):
    """Notes the cycles, and how many weights live after every step of the optimizer."""

    def __init__(self):
        self.cycles, self.alive = [], []

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.cycles.append(cycle)

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step > len(self.alive):
            self.alive.append(alive(pl_module))


def alive(module):
    return sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7))


def run(policy, retrain="2ep", data=None, beside=(), module=None, pruning=(), **options):
    """Train a dense run and two cycles; the trainer, the rates of every step and what was watched."""
    rates, watch = Rates(), Watch()
    make = POLICIES[policy] if isinstance(policy, str) else policy
    callbacks = [*beside, IterativePruning(cycles=2, retrain=retrain, **dict(pruning)), make(), rates, watch]
    trainer = fit(callbacks, module or toy(scheduler=each_step), data, **options)
    return trainer, rates.lr(), watch


def check(policy, trained, dense, lengths):
    """Whether the dense run and the cycles had these optimizer steps, the right rates and the right sparsity."""
    trainer, rates, watch = trained
    starts = list(itertools.accumulate(lengths, initial=dense))
    assert [cycle.first_step for cycle in watch.cycles] == starts[:-1]
    assert [cycle.steps for cycle in watch.cycles] == lengths
    assert len(rates) == trainer.global_step == starts[-1]
    for start, length in zip(starts, lengths, strict=False):
        if policy == "rewind":
            assert rates[start : start + length] == rates[dense - length : dense]
        else:
            whole = [one_cycle(step, length, 0.001, 0.1, 0.1 / 10_000, warmup=0.5) for step in range(length)]
            assert rates[start : start + length] == pytest.approx(whole)
            assert rates[start + length - 1] == pytest.approx(0.1 / 10_000)
    expected = [count for count, steps in zip(LIVING, [dense, *lengths], strict=True) for _ in range(steps)]
    assert watch.alive == expected
    assert alive(trainer.lightning_module) == LIVING[-1]
