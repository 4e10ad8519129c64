"""A table of widths: exact for layers whose time is known, the network as it was, and groups that cannot shrink."""

import copy

import pytest
import torch
from torch import nn

from lightning_prune import Latency, structures_of
from lightning_prune.deployment.profiling import width_table
from lightning_prune.deployment.profiling.width_table import clock_for, measure_living, measure_widths
from lightning_prune.shrinking.example_calls import call_on


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Timed(nn.Linear):
    """A layer that takes 3 s, and 1 s for each product."""

    def __init__(self, clock, *sizes):
        super().__init__(*sizes)
        self.clock = [clock]

    def forward(self, x):
        self.clock[0].now += 3 + self.in_features * self.out_features
        return super().forward(x)


def network(clock):
    return nn.Sequential(
        Timed(clock, 3, 16), nn.ReLU(), Timed(clock, 16, 8), nn.BatchNorm1d(8), nn.Tanh(), Timed(clock, 8, 2)
    )


def seconds(a, b):
    return 9 + 3 * a + a * b + 2 * b


def test_times_that_are_products_of_widths_are_estimated_exactly():
    clock = Clock()
    module, x = network(clock), torch.ones(4, 3)
    found = structures_of(module, x)
    before = copy.deepcopy(module.state_dict())
    table = measure_widths(module, call_on(module, x, "test"), found.groups, Latency(rounds=2), clock)
    assert table.whole == seconds(16, 8)
    assert table.widths == {"0": 16, "2": 8}
    for a in range(1, 17):
        for b in range(1, 9):
            assert table.seconds({"0": a, "2": b}) == pytest.approx(seconds(a, b), rel=0.01)
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert (module[0].out_features, module[3].num_features) == (16, 8)
    assert module.training


class CostlyClock(Clock):
    """Every look at the clock takes time, so that layers that are watched take longer."""

    def __call__(self):
        self.now += 5
        return self.now


def test_what_watching_the_layers_costs_is_not_in_the_estimates():
    clock = CostlyClock()
    module, x = network(clock), torch.ones(4, 3)
    found = structures_of(module, x)
    table = measure_widths(module, call_on(module, x, "test"), found.groups, Latency(rounds=2), clock)
    assert table.whole == seconds(16, 8) + 5
    assert sum(table.layers.values()) <= table.whole
    for place in (0.25, 0.5, 0.75):  # all groups narrowed together, as they were measured
        a, b = round(16 * place), round(8 * place)
        assert table.seconds({"0": a, "2": b}) == pytest.approx(seconds(a, b) + 5, rel=1e-6)


class Literal(nn.Module):
    """A width in code: the network does not run without units of the first group."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.third(self.second(self.first(x).view(len(x), 2, 4).flatten(1)).relu())


def test_a_group_that_cannot_shrink_is_constant():
    module, x = Literal(), torch.ones(2, 3)
    found = structures_of(module, x)
    table = measure_widths(module, call_on(module, x, "test"), found.groups, Latency(rounds=1))
    fixed = [name for name in found.groups if name not in table.alone]
    assert fixed
    assert table.seconds(dict.fromkeys(fixed, 1)) == table.seconds({}) == table.whole
    assert "second" in table.alone


def test_both_networks_are_measured_and_the_network_stays_as_it_is(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(width_table, "clock_for", lambda *_: clock)
    module, x = network(clock), torch.ones(4, 3)
    found = structures_of(module, x)
    before = copy.deepcopy(module.state_dict())
    widths = []
    module[0].register_forward_hook(lambda layer, _, y: widths.append(y.shape[1]))
    times = measure_living(
        module, call_on(module, x, "test"), found.groups, {"0": torch.arange(16) < 4}, Latency(rounds=2)
    )
    assert times == (seconds(16, 8), seconds(4, 8))
    assert widths[1:] == ([16] * 3 + [4] * 3) * 5  # after the one that finds the call: in turn, with a pass to warm up
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())


def test_the_clock_of_the_thread_is_used_where_one_thread_works():
    import time

    assert clock_for(nn.Linear(1, 1), 1) is time.thread_time
    assert clock_for(nn.Linear(1, 1), 2) is time.perf_counter
    assert clock_for(nn.Linear(1, 1, device="meta"), 1) is time.perf_counter
