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
    ends = [one for name, one in network.named_modules() if isinstance(one, nn.Linear)][-1:]
    units = set()
    for group in graph.get_all_groups(ignored_layers=ends, root_module_types=[nn.Conv2d, nn.Linear]):
        width = len(group[0].idxs)
        for unit in range(width):
            found = set()
            for dependency, places in graph.get_pruning_group(group[0].dep.target.module, group[0].dep.handler, [unit]):
                layer, kind = dependency.target.module, dependency.handler.__name__
                if not isinstance(layer, nn.Conv2d | nn.Linear) or layer not in names:
                    continue
                depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.out_channels > 1
                dim = 0 if depthwise or "out_channels" in kind else 1
                found |= {(f"{names[layer]}.weight", dim, place) for place in places}
            units.add(frozenset(found))
    return units


NETWORKS = {
    "ConvNet": (ConvNet, 16),
    "ResNet-8, projection": (lambda: ResNet(8, shortcut="projection", width=8), 16),
    "VGG-11": (lambda: VGG(depth=11, width=0.125) if "width" in VGG.__init__.__annotations__ else VGG(), 32),
    "DenseNet": (lambda: DenseNet(40), 32),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ConvNet", "ResNet-8, projection", "DenseNet"])
def test_the_units_of_the_labs_networks(name):
    make, size = NETWORKS[name]
    network, images = make(), torch.rand(1, 3, size, size)
    assert ours(network, images) == theirs(network, images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mnasnet0_5", "squeezenet1_1"])
def test_the_units_of_torchvision(name):
    import torchvision

    arguments = {"width_per_group": 64} if name == "resnet18" else {}
    network, images = getattr(torchvision.models, name)(**arguments), torch.rand(1, 3, 64, 64)
    assert ours(network, images) == theirs(network, images)
