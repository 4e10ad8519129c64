"""Networks from the papers, as plain modules whose plain arguments YAML can set."""

from lightning_prune.lab.networks.bottleneck_resnet import BottleneckResNet
from lightning_prune.lab.networks.convnet import ConvNet
from lightning_prune.lab.networks.densenet import DenseNet
from lightning_prune.lab.networks.lenet import LeNet300100
from lightning_prune.lab.networks.lottery_convnet import LotteryConvNet
from lightning_prune.lab.networks.resnet import ResNet
from lightning_prune.lab.networks.text_decoder import TextDecoder
from lightning_prune.lab.networks.timm_models import timm_network
from lightning_prune.lab.networks.torchvision_models import torchvision_network
from lightning_prune.lab.networks.vgg import VGG
from lightning_prune.lab.networks.wide_resnet import WideResNet

__all__ = [
    "VGG",
    "BottleneckResNet",
    "ConvNet",
    "DenseNet",
    "LeNet300100",
    "LotteryConvNet",
    "ResNet",
    "TextDecoder",
    "WideResNet",
    "timm_network",
    "torchvision_network",
]
