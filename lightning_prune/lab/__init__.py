"""Networks, data modules and the classifier for runs from the command line."""

from lightning_prune.basics.extras import needs_extra

with needs_extra("lightning_prune.lab", "lab"):
    from lightning_prune.lab.classifier import Classifier
    from lightning_prune.lab.data import (
        CIFAR10,
        CIFAR100,
        MNIST,
        Digits,
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
        WideResNet,
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
    "ImageFolders",
    "LeNet300100",
    "LotteryConvNet",
    "ResNet",
    "WideResNet",
    "torchvision_network",
]
