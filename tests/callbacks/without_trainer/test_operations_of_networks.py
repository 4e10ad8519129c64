"""Whole channels, heads and neurons of known networks go without a Trainer, by a fraction of their operations."""

from functools import partial

import pytest
import timm
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

import lightning_prune as lp
from lightning_prune.structures.flops import count_flops


def operations(module, images):
    return count_flops(module, lambda: module(images)).total


def small_transformer():
    return timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, depth=2)


@pytest.mark.parametrize("speedup", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_half_of_the_operations_of_known_networks_go_without_training(speedup):
    """The networks of torchvision that people deploy, and a transformer of timm: one prune, nothing trained."""
    for name, make in (
        ("resnet18", resnet18),
        ("mobilenet_v2", partial(mobilenet_v2, width_mult=0.25)),
        ("vit_tiny", small_transformer),
    ):
        torch.manual_seed(0)
        images, whole = torch.randn(2, 3, 32, 32), make().eval()
        before = operations(whole, images)
        lp.prune(
            whole,
            1 - 1 / speedup,
            granularity=lp.Structures(),
            measure="flops",
            batches=[images],
            allocation=lp.isomorphic,
        )
        with torch.no_grad():
            masked = whole(images)
        small = lp.shrink(whole, example=images)
        with torch.no_grad():
            assert torch.allclose(small.module(images), masked, atol=1e-4 * float(masked.abs().max())), name
        assert not small.masked
        assert before / operations(small.module, images) == pytest.approx(speedup, rel=0.05), name


def test_operations_of_single_weights_are_not_counted_without_a_training_step():
    with pytest.raises(ValueError, match=r"prune\(measure='flops', granularity=Weights\(\)\) cannot count"):
        lp.prune(nn.Linear(4, 2), 0.5, measure="flops")
    with pytest.raises(ValueError, match=r"prune\(measure='speed'\) is unknown"):
        lp.prune(nn.Linear(4, 2), 0.5, measure="speed")
