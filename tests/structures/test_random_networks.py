"""Random networks: every unit that is said to be removable can be removed exactly, and everything else has a reason."""

import pytest
import torch
from random_networks import random_network
from removal import difference, mask, random_alive, randomize, run, shrink

from lightning_prune import structures_of
from lightning_prune.structures.flops import count_flops


def check(seed):
    network, images = randomize(random_network(seed)), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    try:
        run(network, images)
    except RuntimeError:
        pytest.skip("the grammar made a network without channels")
    found = structures_of(network, images)
    assert not [one.reason for one in found.kept if "could not be followed" in one.reason]
    told = {(one.tensor, one.dim) for group in found.groups.values() for one in group.slices}
    told |= {(one.tensor, one.dim) for one in found.kept}
    assert {name for name, _ in network.named_parameters()} <= {name for name, _ in told}
    alive = random_alive(found, seed=seed)
    masked, small = mask(network, found, alive), shrink(network, found, alive)
    counts = found.costs.count(alive)
    assert counts.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert counts.flops == count_flops(small.eval(), lambda: run(small, images[:1])).total
    for training in (False, True):
        assert difference(small, masked, images, training) <= 1e-12, str(network)


@pytest.mark.parametrize("seed", range(24))
def test_removing_is_masking(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # of networks without channels
@pytest.mark.parametrize("first", range(1000, 1800, 50))
def test_removing_is_masking_in_many(first):
    for seed in range(first, first + 50):
        try:
            check(seed)
        except pytest.skip.Exception:
            continue


@pytest.mark.parametrize("seed", range(6))
def test_each_unit_can_be_removed_alone(seed):
    network, images = randomize(random_network(seed, blocks=2)), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    found = structures_of(network, images)
    for name, group in found.groups.items():
        for unit in range(group.width) if group.removable else ():
            alive = {name: torch.arange(group.width) != unit}
            small, masked = shrink(network, found, alive), mask(network, found, alive)
            assert difference(small, masked, images, training=True) <= 1e-12, (name, unit)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_units_means_nothing(seed):
    """Permute the units of a group in all tensors: the same groups are found, permuted."""
    network, images = randomize(random_network(seed, blocks=3)), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    found = structures_of(network, images)
    before, tensors = run(network.eval(), images), network.state_dict()
    for group in found.groups.values():
        sizes = {len({int((one.units == unit).sum()) for unit in range(group.width)}) for one in group.slices}
        if sizes != {1} or not group.removable or group.counted:
            continue
        order = torch.randperm(group.width)
        for one in group.slices:
            places = torch.arange(len(one.units))
            for unit in range(group.width):
                places[one.units == unit] = (one.units == order[unit]).nonzero().flatten()
            tensors[one.tensor] = tensors[one.tensor].index_select(one.dim, places)
        network.load_state_dict(tensors)
        assert all(torch.allclose(a, b) for a, b in zip(before, run(network, images), strict=True)), group.name
    again = structures_of(network, images)
    assert str(again) == str(found)
