"""The same units as torch-pruning finds, where it is right."""

from collections import defaultdict

import pytest
import torch
from torch import nn

from lightning_prune import structures_of
from lightning_prune.lab.networks import VGG, ConvNet, DenseNet, ResNet

Unit = frozenset[tuple[str, int, int]]


def ours(network, images) -> set[Unit]:
    """Every unit as the set of its slices, without statistics, biases and norms."""
    units = defaultdict(set)
    matrices = {name for name, parameter in network.named_parameters() if parameter.dim() > 1}
    for group in structures_of(network, images).groups.values():
        for one in group.slices:
            for place, unit in enumerate(one.units.tolist() if one.tensor in matrices else ()):
                if unit >= 0:
                    units[group.name, unit].add((one.tensor, one.dim, place))
    return {frozenset(unit) for unit in units.values()}


def theirs(network, images) -> set[Unit]:
    import torch_pruning

    names = {one: name for name, one in network.named_modules()}
    graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=images)
    ends = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear)][-1:]
    units = set()
    for group in graph.get_all_groups(ignored_layers=ends, root_module_types=[nn.Conv2d, nn.Linear]):
        slices = defaultdict(set)
        for item in group:
            layer, kind = item.dep.target.module, item.dep.handler.__name__
            if isinstance(layer, nn.Conv2d | nn.Linear):
                depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.out_channels > 1
                dim = 0 if depthwise or "out_channels" in kind else 1
                for place, unit in zip(item.idxs, item.root_idxs, strict=True):
                    slices[unit].add((f"{names[layer]}.weight", dim, place))
        units |= {frozenset(unit) for unit in slices.values()}
    return units


LAB = {
    "ConvNet": (ConvNet, 16),
    "ResNet-20, projection": (lambda: ResNet(shortcut="projection"), 32),
    "VGG-16": (VGG, 32),
    "DenseNet-40": (lambda: DenseNet(40), 32),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAB)
def test_the_units_of_the_labs_networks(name):
    make, size = LAB[name]
    network, images = make(), torch.rand(1, 3, size, size)
    assert ours(network, images) == theirs(network, images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "mnasnet0_5", "squeezenet1_1", "densenet121"])
def test_the_units_of_torchvision(name):
    import torchvision

    network, images = getattr(torchvision.models, name)(), torch.rand(1, 3, 64, 64)
    assert ours(network, images) == theirs(network, images)
