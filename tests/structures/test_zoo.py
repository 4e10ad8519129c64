"""Networks that people use: removing what may be removed is masking it, and the costs are those of the small network."""

import os
from fnmatch import fnmatchcase

import pytest
import torch
from removal import difference, mask, random_alive, randomize, run, shrink
from torch.utils._pytree import tree_map
from zoo_networks import ZOO

from lightning_prune import structures_of
from lightning_prune.lab.networks import VGG, ConvNet, DenseNet, LeNet300100, LotteryConvNet, ResNet, WideResNet
from lightning_prune.structures.flops import count_flops

LAB = {
    "ConvNet": (ConvNet, 32, 3),
    "LeNet300100": (LeNet300100, None, 2),
    "Conv-6": (lambda: LotteryConvNet(6), 32, 8),
    "ResNet-20, padding": (ResNet, 32, 10),
    "ResNet-20, projection": (lambda: ResNet(shortcut="projection"), 32, 12),
    "ResNet-56, padding": (lambda: ResNet(56), 32, 28),
    "WRN-16-2": (lambda: WideResNet(16, 2), 32, 10),
    "VGG-16": (VGG, 32, 13),
    "DenseNet-40": (lambda: DenseNet(40), 32, 39),
}


def as_double(inputs):
    return tree_map(lambda t: t.double() if t.is_floating_point() else t, inputs)


def check(network, inputs, groups, literal=(), resize=None):
    torch.manual_seed(0)
    inputs = as_double(inputs)
    found = structures_of(randomize(network).train(), inputs)
    assert network.training
    assert not [one.reason for one in found.kept if "could not be followed" in one.reason]
    assert sum(group.removable for group in found.groups.values()) == groups, str(found)
    alive = random_alive(found)
    alive = {name: units for name, units in alive.items() if not any(fnmatchcase(name, one) for one in literal)}
    masked, small = mask(network, found, alive), shrink(network, found, alive, resize)
    for training in (False, True):
        assert difference(small, masked, inputs, training) <= 1e-12
    assert not alive or difference(network, masked, inputs, False) > 1e-9
    counts, one = found.costs.count(alive), tree_map(lambda t: t[:1], inputs)
    assert counts.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert counts.flops == count_flops(small.eval(), lambda: run(small, one)).total


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name[0] in "CDVW" else ()) for name in LAB]
)
def test_the_networks_of_the_lab(name):
    make, size, groups = LAB[name]
    check(make(), torch.randn(2, 1, 28, 28) if size is None else torch.randn(2, 3, size, size), groups)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore")
def test_networks_of_others(name, monkeypatch):
    monkeypatch.setitem(os.environ, "TRANSFORMERS_VERBOSITY", "error")
    member = ZOO[name]
    check(member.make(), member.inputs, member.groups, member.literal, member.resize)
