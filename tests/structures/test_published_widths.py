"""The parameters and operations of the networks of Li et al. 2017, from the cost table alone.

Reference:
    Li, Kadav, Durdanovic, Samet and Graf, "Pruning Filters for Efficient ConvNets", 2017, https://arxiv.org/abs/1608.08710
    (table 1). The counts of parameters are those of this suite's networks, which differ from the paper's by biases.
"""

import pytest
import torch
from removal import shrink
from torch import nn

from lightning_prune import structures_of
from lightning_prune.lab.networks import VGG, ResNet


def vgg_16_a():
    network = VGG()
    convolutions = [name for name, one in network.named_modules() if isinstance(one, nn.Conv2d)]
    return network, {convolutions[0]: 32, **{convolutions[place]: 256 for place in range(7, 13)}}


def resnet(depth, fractions, left_out):
    """Prune the first convolution of each block, by the stage it is in. Layers are counted as in the paper."""
    network, widths = ResNet(depth), {}
    blocks = (depth - 2) // 6
    convolutions = [(name, one) for name, one in network.named_modules() if isinstance(one, nn.Conv2d)]
    for place, (name, one) in enumerate(convolutions):
        layer, stage = place + 1, (place - 1) // (2 * blocks)
        if place and layer % 2 == 0 and layer not in left_out and fractions[stage]:
            widths[name] = int(one.out_channels * (1 - fractions[stage]))
    return network, widths


# the network, its parameters and multiply-adds (in millions) before and after, and the reductions that the paper prints
PUBLISHED = {
    "VGG-16-A": (vgg_16_a, 14_724_042, 5_261_866, 313, 206, 34.2),
    "ResNet-56-A": (lambda: resnet(56, (0.1, 0.1, 0.1), (16, 20, 38, 54)), 853_018, 773_336, 125, 112, 10.4),
    "ResNet-56-B": (lambda: resnet(56, (0.6, 0.3, 0.1), (16, 18, 20, 34, 38, 54)), 853_018, 735_712, 125, 90.9, 27.6),
    "ResNet-110-A": (lambda: resnet(110, (0.5, 0, 0), (36,)), 1_727_962, 1_688_522, 253, 213, 15.9),
    "ResNet-110-B": (lambda: resnet(110, (0.5, 0.4, 0.3), (36, 38, 74)), 1_727_962, 1_168_424, 253, 155, 38.6),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if "110" in n else ()) for n in PUBLISHED])
def test_the_published_counts(name):
    make, before, after, macs_before, macs_after, reduction = PUBLISHED[name]
    network, widths = make()
    found = structures_of(network, torch.rand(1, 3, 32, 32))
    alive = {}
    for convolution, width in widths.items():
        group = found.groups[convolution]
        assert not group.coupled
        alive[convolution] = torch.arange(group.width) < width
    dense, small = found.costs.count(), found.costs.count(alive)
    assert (dense.parameters, small.parameters) == (before, after)
    assert float(f"{dense.flops / 2e6:.3g}") == macs_before
    assert float(f"{small.flops / 2e6:.3g}") == macs_after
    assert 100 * (1 - small.flops / dense.flops) == pytest.approx(reduction, abs=0.11)
    removed = shrink(network, found, alive)
    assert sum(parameter.numel() for parameter in removed.parameters()) == after


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("resnet50", 25_557_032, 4.089e9), ("resnet18", 11_689_512, 1.814e9), ("mobilenet_v2", 3_504_872, 300.8e6)],
)
def test_the_counts_of_dense_networks(name, parameters, macs):
    import torchvision

    with torch.device("meta"):
        network, images = getattr(torchvision.models, name)(), torch.empty(1, 3, 224, 224)
    counts = structures_of(network, images).costs.count()
    assert counts.parameters == parameters
    assert counts.flops / 2 == pytest.approx(macs, rel=5e-4)
