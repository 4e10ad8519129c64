"""Random images in place of those that would be downloaded."""

import torch

from lightning_prune.lab.data import ImageFolders, cifar, mnist
from lightning_prune.lab.data.data_module import ImageSource
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.data.normalization import Normalization


def generate_images(monkeypatch):
    """Let the data sets of CIFAR and MNIST, and folders of images, hold 40 random images."""
    for module in (cifar.CIFAR, mnist.MNIST):
        monkeypatch.setattr(module, "prepare_data", lambda self: None)
    monkeypatch.setattr(cifar.CIFAR10, "load", generated((3, 32, 32), 10))
    monkeypatch.setattr(cifar.CIFAR100, "load", generated((3, 32, 32), 100))
    monkeypatch.setattr(mnist.MNIST, "load", generated((1, 28, 28), 10))
    monkeypatch.setattr(ImageFolders, "num_classes", property(classes_of_folders))
    monkeypatch.setattr(
        ImageFolders, "load", lambda self: generated(self.decoder.shape, classes_of_folders(self))(self)
    )


def classes_of_folders(data):
    """How many classes a folder of a config has."""
    return {"imagenet": 1000, "imagenet200": 200}[data.root.name]


def generated(shape, classes):
    """Random images in the shape of a data set."""

    def load(self):
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (40, *shape), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, classes, (40,), generator=generator)
        normalization = Normalization(mean=(0.5,) * shape[0], std=(0.25,) * shape[0])
        names = tuple(str(label) for label in range(classes))
        return ImageSource(ImagesInMemory(images, labels), ImagesInMemory(images, labels), normalization, names)

    return load
