"""Networks, data modules and the classifier for runs from the command line."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.lab.classifier import Classifier
    from lightning_prune.lab.data import (
        CIFAR10,
        CIFAR100,
        MNIST,
        Digits,
        Docstrings,
        ImageFolders,
    )
    from lightning_prune.lab.networks import (
        VGG,
        BottleneckResNet,
        ConvNet,
        DenseNet,
        LeNet300100,
        LotteryConvNet,
        ResNet,
        TextDecoder,
        WideResNet,
        timm_network,
        torchvision_network,
    )

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "VGG",
    "BottleneckResNet",
    "Classifier",
    "ConvNet",
    "DenseNet",
    "Digits",
    "Docstrings",
    "ImageFolders",
    "LeNet300100",
    "LotteryConvNet",
    "ResNet",
    "TextDecoder",
    "WideResNet",
    "timm_network",
    "torchvision_network",
]
_DATA = ("CIFAR10", "CIFAR100", "MNIST", "Digits", "Docstrings", "ImageFolders")

if not TYPE_CHECKING:
    _PLACES = dict.fromkeys(__all__, "networks") | dict.fromkeys(_DATA, "data") | {"Classifier": "classifier"}
    __getattr__ = late_names(__name__, _PLACES, extra="cli")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
