"""Random networks, made small for good: the masked function to rounding, by the table of costs, from a file, and by zeros."""

import copy

import pytest
import torch
from random_networks import random_network
from removal import difference, mask, random_alive, randomize, run

from lightning_prune import load_small, shrink, structures_of

IMAGES = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def check(seed, file):
    try:
        network = randomize(random_network(seed))
        run(network, IMAGES)
    except (RuntimeError, UserWarning):
        pytest.skip("the grammar made a network without channels")
    found = structures_of(network, IMAGES)
    alive = random_alive(found, fraction=(0.2, 0.5, 0.9)[seed % 3], seed=seed, removable=False)
    masked = mask(network, found, alive)
    small = shrink(copy.deepcopy(network), example=IMAGES, alive=alive)
    assert not small.masked.keys() & {name for name, group in found.groups.items() if group.removable}, str(network)
    for training in (False, True):
        assert difference(small.module, masked, IMAGES, training) <= 1e-12, str(network)
    removed = {name: one for name, one in alive.items() if name not in small.masked}
    assert small.parameters[1] == found.costs.count(removed).parameters
    by_zeros = shrink(copy.deepcopy(masked), example=IMAGES)
    assert difference(by_zeros.module, masked, IMAGES, training=False) <= 1e-12, "found again by the zeros"
    assert by_zeros.parameters[1] <= small.parameters[1]
    small.save(file)
    again = load_small(file, randomize(random_network(seed)))
    assert difference(again, small.module, IMAGES, training=False) == 0.0


@pytest.mark.parametrize("seed", range(2000, 2012))
def test_removing_is_masking(seed, tmp_path):
    check(seed, tmp_path / "small.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(3000, 3100, 25))
def test_removing_is_masking_in_many(first, tmp_path):
    for seed in range(first, first + 25):
        try:
            check(seed, tmp_path / f"{seed}.safetensors")
        except pytest.skip.Exception:
            continue
