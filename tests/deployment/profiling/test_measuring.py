"""Measuring: fair turns by a given clock, the own time of layers, and memory to the byte."""

import pytest
import torch
from torch import nn

from lightning_prune.deployment.profiling.activation_memory import activation_memory
from lightning_prune.deployment.profiling.own_times import own_times
from lightning_prune.deployment.profiling.turns import Times, in_turn


class Ticking:
    """A clock that the measured calls move on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def call(self, said, name, lengths):
        lengths = iter(lengths)

        def run():
            said.append(name)
            self.now += next(lengths)

        return run


def test_calls_take_turns_and_the_warm_up_does_not_count():
    clock, said = Ticking(), []
    calls = [clock.call(said, "a", [99, 98, 5, 1, 2]), clock.call(said, "b", [97, 96, 30, 30, 10])]
    assert in_turn(calls, rounds=3, warm_up=2, clock=clock) == [Times(1, 2), Times(10, 30)]
    assert said == ["a", "b"] * 5


class Slow(nn.Module):
    def __init__(self, clock, *inner, seconds):
        super().__init__()
        self.inner, self.clock, self.seconds = nn.ModuleList(inner), clock, iter(seconds)

    def forward(self, x):
        self.clock.now += next(self.seconds)
        for one in self.inner:
            x = one(x)
        return x


def test_the_time_of_a_layer_is_without_the_layers_in_it_and_calls_of_one_layer_add_up():
    clock = Ticking()
    leaf = Slow(clock, seconds=[100, 100, 4, 4, 3, 2])
    network = Slow(clock, leaf, leaf, seconds=[100, 7, 8])
    found = own_times(network, lambda: network(torch.ones(1)), rounds=2, warm_up=1, clock=clock)
    assert found == {"inner.0": 5, "": 7}
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in network.modules())


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    ("layers", "entries"),
    [
        # What a layer reads and what it makes live at the same time. The input was there before.
        ([nn.Linear(8, 16)], 16),
        ([nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)], 32),
        ([nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 4)], 20),
        ([nn.Linear(8, 4), nn.Linear(4, 32), nn.Linear(32, 2)], 36),
        ([nn.Flatten()], 0),  # a view
    ],
)
def test_activations_are_counted_to_the_byte(layers, entries, batch):
    network, x = nn.Sequential(*layers), torch.ones(batch, 8)
    with torch.no_grad():
        assert activation_memory(lambda: network(x)) == 4 * batch * entries


def test_what_is_kept_for_the_gradient_counts_too():
    network, x = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(4)]), torch.ones(1, 8)
    with torch.no_grad():
        free = activation_memory(lambda: network(x))
    assert activation_memory(lambda: network(x)) > free
