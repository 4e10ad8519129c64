"""Networks: the papers' parameter counts, the shapes, the initialization, and what is refused."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from lightning_prune.lab import VGG, BottleneckResNet, ConvNet, LeNet300100, ResNet, WideResNet, torchvision_network
from lightning_prune.lab.networks import DenseNet, LotteryConvNet


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, size: int = 3) -> int:
    """Parameters of a convolution without bias and the BatchNorm behind it."""
    return inputs * outputs * size * size + 2 * outputs


def resnet_parameters(depth: int, classes: int, projection: bool = False) -> int:
    blocks = (depth - 2) // 6
    total = convolution(3, 16)
    for inputs, outputs in ((16, 16), (16, 32), (32, 64)):
        total += convolution(inputs, outputs) + (2 * blocks - 1) * convolution(outputs, outputs)
        total += convolution(inputs, outputs, size=1) if projection and inputs != outputs else 0
    return total + 64 * classes + classes


def wide_resnet_parameters(depth: int, widen: int, classes: int) -> int:
    blocks = (depth - 4) // 6
    widths = [16, 16 * widen, 32 * widen, 64 * widen]
    total = 3 * 16 * 9 + 2 * widths[-1] + widths[-1] * classes + classes
    for inputs, outputs in pairwise(widths):
        total += 9 * inputs * outputs + (2 * blocks - 1) * 9 * outputs**2 + inputs * outputs * (inputs != outputs)
        total += 2 * inputs + (2 * blocks - 1) * 2 * outputs
    return total


@pytest.mark.parametrize(
    ("depth", "count"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_resnet_has_the_papers_parameters(depth, count):
    assert parameters(ResNet(depth)) == count == resnet_parameters(depth, classes=10)


def test_resnet_with_projection_has_two_more_convolutions():
    assert parameters(ResNet(20, shortcut="projection")) == resnet_parameters(20, classes=10, projection=True)


def test_stage_projection_has_a_convolution_where_nothing_widens_too():
    with torch.device("meta"):
        wider, every = ResNet(20, shortcut="projection"), ResNet(20, shortcut="stage-projection")
    assert parameters(every) == parameters(wider) + convolution(16, 16, size=1) == 272_762
    for number, blocks in enumerate(every.stages):
        assert [isinstance(block.shortcut, nn.Identity) for block in blocks] == [False, True, True], number


# 82 convolutions, the linear layer, and three projections, as in the code that Le and Hua call ResNet-56
@pytest.mark.parametrize(("depth", "count", "convolutions"), [(83, 869_530, 85), (164, 1_704_154, 166)])
def test_bottleneck_resnet_has_the_parameters_of_the_authors_network(depth, count, convolutions):
    with torch.device("meta"):
        network = BottleneckResNet(depth)
    assert parameters(network) == count
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == convolutions == depth - 1 + 3
    assert sum(layer.kernel_size == (3, 3) for layer in layers) == (depth - 2) // 3 + 1


def test_the_stride_of_a_bottleneck_is_that_of_its_3x3_convolution():
    first = BottleneckResNet(11, width=4).stages[1][0]
    assert [layer.stride for layer in first.residual if isinstance(layer, nn.Conv2d)] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(("depth", "widen", "count"), [(16, 8, 10_961_370), (28, 10, 36_479_194), (40, 2, 2_243_546)])
def test_wide_resnet_has_the_papers_parameters(depth, widen, count):
    with torch.device("meta"):
        network = WideResNet(depth, widen)
    assert parameters(network) == count == wide_resnet_parameters(depth, widen, classes=10)


@pytest.mark.parametrize(("depth", "count"), [(11, 9_228_362), (13, 9_413_066), (16, 14_724_042), (19, 20_035_018)])
def test_vgg_parameters(depth, count):
    with torch.device("meta"):
        network = VGG(depth)
    assert parameters(network) == count
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.modules()) == depth - 3


def test_lenet_and_convnet_parameters():
    assert parameters(LeNet300100()) == 266_610 == 785 * 300 + 301 * 100 + 101 * 10
    assert parameters(LeNet300100(inputs=64)) == 65 * 300 + 301 * 100 + 101 * 10
    expected = convolution(1, 16) + convolution(16, 32) + convolution(32, 64) + 65 * 10
    assert parameters(ConvNet(channels=1)) == expected


@pytest.mark.parametrize(
    ("network", "image"),
    [
        (LeNet300100(inputs=64, classes=7), (1, 8, 8)),
        (ConvNet(channels=1, classes=7, width=4), (1, 8, 8)),
        (ConvNet(classes=7, width=4), (3, 33, 17)),
        (ResNet(8, classes=7, channels=1, width=4), (1, 8, 8)),
        (ResNet(8, classes=7, width=4), (3, 33, 33)),
        (ResNet(14, classes=7, width=4, shortcut="projection"), (3, 32, 32)),
        (ResNet(14, classes=7, width=4, shortcut="stage-projection"), (3, 32, 32)),
        (BottleneckResNet(20, classes=7, channels=1, width=2), (1, 9, 8)),
        (WideResNet(10, widen=1, classes=7, channels=1), (1, 8, 8)),
        (WideResNet(16, widen=2, classes=7, dropout=0.3), (3, 32, 32)),
        (VGG(11, classes=7, width=4), (3, 32, 32)),
        (VGG(16, classes=7, channels=1, width=4), (1, 64, 64)),
        (torchvision_network("mobilenet_v3_small", classes=7), (3, 32, 32)),
        (DenseNet(10, growth=4, classes=7, channels=1, width=8), (1, 8, 8)),
        (DenseNet(13, growth=4, classes=7, dropout=0.2), (3, 33, 17)),
        (LotteryConvNet(2, classes=7, channels=1, size=8, width=4), (1, 8, 8)),
        (LotteryConvNet(6, classes=7, width=4), (3, 32, 32)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_forward_and_backward(network, image):
    scores = network(torch.randn(2, *image))
    assert scores.shape == (2, 7)
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_padding_shortcut_keeps_every_other_pixel():
    shortcut = ResNet(8, width=2).stages[1][0].shortcut
    images = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    assert shortcut(images)[:, :2].equal(images[:, :, ::2, ::2])
    assert not shortcut(images)[:, 2:].any()


def test_wide_identity_shortcut_keeps_the_raw_signal():
    block = WideResNet(16, widen=1).stages[0][1]
    nn.init.zeros_(block.residual[-1].weight)
    images = torch.randn(1, 16, 4, 4)
    assert block(images).equal(images)


def test_initialization():
    torch.manual_seed(0)
    resnet = ResNet(20)
    weight = resnet.stages[2][1].residual[0].weight  # fan_out = 64 * 9
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not resnet.classifier.bias.any()
    lenet = LeNet300100()
    assert lenet.hidden[1].weight.std().item() == pytest.approx((2 / 1084) ** 0.5, rel=0.02)


def test_dropout_acts_while_training_only():
    torch.manual_seed(0)
    network = WideResNet(10, widen=1, dropout=0.5)
    images = torch.randn(2, 3, 8, 8)
    assert not network(images).equal(network(images))
    network.eval()
    assert network(images).equal(network(images))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet(depth=21), r"ResNet\(depth=21\): `depth` must be 6n\+2: 20, 32, 44, 56, 110"),
        (lambda: ResNet(depth=2), r"ResNet\(depth=2\)"),
        (lambda: ResNet(shortcut="A"), r"ResNet\(shortcut='A'\): `shortcut` must be one of padding, projection"),
        (lambda: BottleneckResNet(depth=57), r"BottleneckResNet\(depth=57\): `depth` must be 9n\+2: 11, 20, 29, 38"),
        (lambda: BottleneckResNet(depth=2), r"BottleneckResNet\(depth=2\)"),
        (lambda: BottleneckResNet(width=0), r"BottleneckResNet\(width=0\): `width` must be at least 1"),
        (lambda: ResNet(classes=0), r"ResNet\(classes=0\): `classes` must be at least 1"),
        (lambda: WideResNet(depth=20), r"WideResNet\(depth=20\): `depth` must be 6n\+4"),
        (lambda: WideResNet(dropout=1.0), r"WideResNet\(dropout=1.0\): `dropout` must lie in \[0, 1\)"),
        (lambda: WideResNet(widen=0), r"WideResNet\(widen=0\)"),
        (lambda: VGG(depth=17), r"VGG\(depth=17\): `depth` must be one of 11, 13, 16, 19"),
        (lambda: ConvNet(channels=0), r"ConvNet\(channels=0\)"),
        (lambda: LeNet300100(inputs=0), r"LeNet300100\(inputs=0\)"),
        (lambda: torchvision_network("resnet81"), r"'resnet81'\): no such classifier. Did you mean resnet18"),
        (lambda: torchvision_network("?"), r"Choose one of alexnet, "),
        (lambda: torchvision_network("resnet18", classes=0), r"torchvision_network\(classes=0\)"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
