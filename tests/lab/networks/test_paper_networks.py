"""The networks and the data that only the papers' configs need: parameter counts, shapes, and what is refused."""

import struct
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_prune.lab.data import MNIST
from lightning_prune.lab.networks import DenseNet, LotteryConvNet
from lightning_prune.lab.networks.initialization import glorot_normal_


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def densenet_parameters(depth, growth, classes):
    """Every layer has BatchNorm of what it sees and a convolution of it; so has every transition."""
    layers, seen, total = (depth - 4) // 3, 16, 3 * 16 * 9
    for block in range(3):
        for _ in range(layers):
            total += 2 * seen + 9 * seen * growth
            seen += growth
        total += 2 * seen + seen * seen if block < 2 else 2 * seen
    return total + (seen + 1) * classes


@pytest.mark.parametrize(("depth", "growth", "millions"), [(40, 12, 1.0), (100, 12, 7.0), (100, 24, 27.2)])
def test_densenet_has_the_papers_parameters(depth, growth, millions):
    with torch.device("meta"):
        network = DenseNet(depth, growth)
    assert parameters(network) == densenet_parameters(depth, growth, classes=10)
    assert round(parameters(network) / 1e6, 1) == millions
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules()) == depth


@pytest.mark.parametrize(
    ("convolutions", "all_millions", "convolved"), [(2, 4.3, 38_592), (4, 2.4, 259_776), (6, 2.3, 1_144_512)]
)
def test_the_lottery_convnets_have_the_papers_weights(convolutions, all_millions, convolved):
    network = LotteryConvNet(convolutions)
    convolutional = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutional) == convolutions
    assert sum(layer.weight.numel() for layer in convolutional) == convolved
    assert round(parameters(network) / 1e6, 1) == all_millions


def test_a_dense_layer_hands_on_what_it_got():
    layer = DenseNet(10, growth=4).blocks[0][0]
    images = torch.randn(2, 16, 4, 4)
    assert layer(images)[:, :16].equal(images)
    assert layer(images).shape[1] == 20


def test_convolutions_are_drawn_as_glorot_does():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(64, 128, 3), nn.Linear(500, 300, bias=False))
    glorot_normal_(layers)
    assert layers[0].weight.std().item() == pytest.approx((2 / (9 * (64 + 128))) ** 0.5, rel=0.02)
    assert layers[1].weight.std().item() == pytest.approx((2 / 800) ** 0.5, rel=0.02)
    assert not layers[0].bias.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenseNet(depth=41), r"DenseNet\(depth=41\): `depth` must be 3n\+4"),
        (lambda: DenseNet(dropout=1.0), r"DenseNet\(dropout=1.0\): `dropout` must lie in \[0, 1\)"),
        (lambda: DenseNet(growth=0), r"DenseNet\(growth=0\)"),
        (lambda: LotteryConvNet(convolutions=8), r"LotteryConvNet\(convolutions=8\): `convolutions` must be 2, 4 or 6"),
        (lambda: LotteryConvNet(6, size=28), r"LotteryConvNet\(size=28\): `size` must be a multiple of 8"),
        (lambda: LotteryConvNet(width=0), r"LotteryConvNet\(width=0\)"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def write_mnist(root: Path) -> None:
    """Thirty training and six test images in the files that torchvision reads."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 6)):
        pixels = bytes((index * 7) % 256 for index in range(count * 28 * 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, count, 28, 28) + pixels)
        labels = bytes(index % 10 for index in range(count))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, count) + labels)


def test_mnist_is_what_torchvision_reads(tmp_path):
    write_mnist(tmp_path)
    data = MNIST(root=str(tmp_path), batch_size=5, validation=0.2)
    data.prepare_data()  # nothing to download
    data.setup("fit")
    assert (len(data.train_images), len(data.validation_images), len(data.source.test)) == (24, 6, 6)
    images, labels = data.source.train.__getitems__([3])
    assert images.shape == (1, 1, 28, 28)
    assert images.flatten()[:3].tolist() == [(3 * 784 * 7 + 7 * pixel) % 256 for pixel in range(3)]
    assert labels.tolist() == [3]
    images, _ = next(iter(data.train_dataloader()))
    assert data.on_after_batch_transfer((images, labels), 0)[0].dtype == torch.float32


def test_mnist_that_is_missing_says_what_to_do(tmp_path):
    data = MNIST(root=str(tmp_path), download=False)
    data.prepare_data()
    with pytest.raises(
        FileNotFoundError, match=r"MNIST\(root=.*download=False\) found nothing, no complete data set. Put"
    ):
        data.setup("fit")


def test_mnist_that_cannot_be_downloaded_says_what_to_do(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST.download", offline)
    with pytest.raises(FileNotFoundError, match=r"MNIST\(.*could not download: Error downloading.*in '.*'/MNIST/raw"):
        MNIST(root=str(tmp_path)).prepare_data()
