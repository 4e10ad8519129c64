"""Data modules with images as bytes in memory, augmented and normalized one batch at a time, and one with text."""

from lightning_prune.lab.data.cifar import CIFAR10, CIFAR100
from lightning_prune.lab.data.digits import Digits
from lightning_prune.lab.data.docstrings import Docstrings
from lightning_prune.lab.data.image_folders import ImageFolders
from lightning_prune.lab.data.mnist import MNIST

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Digits",
    "Docstrings",
    "ImageFolders",
]
