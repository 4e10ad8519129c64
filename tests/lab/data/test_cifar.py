"""CIFAR: torchvision's own loading, on a hundred generated images."""

from urllib.error import URLError

import numpy
import pytest
import torch
from torchvision import datasets

from lightning_prune.lab import CIFAR10, CIFAR100
from lightning_prune.lab.data.augmentation import Augmentation


def test_images_and_labels_are_torchvisions(cifar):
    data = CIFAR10(root=str(cifar))
    data.setup("fit")
    reference = datasets.CIFAR10(cifar, train=True)
    images, labels = data.source.train.__getitems__([0, 57])
    for position, index in enumerate((0, 57)):
        picture, label = reference[index]
        assert images[position].equal(torch.from_numpy(numpy.array(picture)).permute(2, 0, 1))
        assert labels[position] == label
    assert data.source.train.images.is_contiguous()
    assert data.classes == tuple("abcdefghij")


def test_a_hundred_classes(cifar):
    data = CIFAR100(root=str(cifar))
    data.setup("fit")
    assert data.num_classes == len(data.classes) == 100
    assert data.source.train.labels.equal(torch.arange(100))


def test_images_are_varied_as_the_arguments_say():
    augmentation = CIFAR100(padding=2, flip=False, border="reflect", rotation=15).augmentation
    assert augmentation == Augmentation(padding=2, flip=False, border="reflect", rotation=15)
    with pytest.raises(ValueError, match=r"Augmentation\(border='grey'\): `border` must be one of black, reflect"):
        CIFAR10(border="grey")
    with pytest.raises(
        ValueError, match=r"Augmentation\(rotation=200\): `rotation` must be 0 \(no turn\) to 180 degrees"
    ):
        CIFAR10(rotation=200)


def test_a_missing_set_says_what_to_do(tmp_path):
    (tmp_path / "notes.txt").touch()
    data = CIFAR10(root=str(tmp_path), download=False)
    data.prepare_data()
    with pytest.raises(
        FileNotFoundError, match=r"CIFAR10\(root=.*download=False\) found \['notes.txt'\].*`download=True`"
    ):
        data.setup("fit")


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(FileNotFoundError, match=r"CIFAR100\(.*could not download: no route to host. Download https://"):
        CIFAR100(root=str(tmp_path)).prepare_data()
