"""What holding the masks costs after a step: one launch for each tensor, or one for all."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_parts.networks import NETWORKS
from benchmarks.gpu_parts.setting import Row, Setting, Stopwatch
from lightning_prune import Prunable, globally, magnitude
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.masks.multiply import multiply_


def rows(setting: Setting) -> Iterator[Row]:
    """The time to mask the weights by the package's way and by two others, at 90 %."""
    for name in ("ResNet-20",) if setting.small else NETWORKS:
        weights = Prunable()(NETWORKS[name]().to(setting.device)).weights
        pruner = Pruner(weights, magnitude, globally, seed=0)
        pruner.prune_(1, 0.9)
        pairs = [(weights[one], mask) for one, mask in pruner.held().items()]
        floats = [mask.to(weight.dtype) for weight, mask in pairs]
        plain = [weight.detach() for weight, _ in pairs]
        read = timed(lambda values=plain: [one.sum() for one in values], setting)
        ours = timed(partial(multiply_, pairs), setting)
        each = timed(partial(one_by_one, plain, floats), setting)
        at_once = timed(partial(torch._foreach_mul_, plain, floats), setting)
        yield Row(f"masking {name}: ours, milliseconds", ours, note=f"{len(pairs)} tensors")
        yield Row(f"masking {name}: ours / a read pass over the weights", ours / read)
        yield Row(f"masking {name}: ours / a product with a float mask for each tensor", ours / each)
        yield Row(f"masking {name}: ours / one multi-tensor product with float masks", ours / at_once)
        size = sum(mask.numel() * mask.element_size() for _, mask in pairs) / sum(mask.numel() for _, mask in pairs)
        yield Row(f"masking {name}: bytes of the masks a weight", size, "<= 1", size <= 1)


def one_by_one(weights: list[Tensor], masks: list[Tensor]) -> None:
    """A product for each tensor."""
    for weight, mask in zip(weights, masks, strict=True):
        weight.mul_(mask)


def timed(function: Callable[[], Any], setting: Setting) -> float:
    """The median milliseconds of a call, in blocks of ten."""
    watch = Stopwatch(setting.device)

    def block() -> None:
        for _ in range(10):
            function()

    block()
    return statistics.median(watch.time(block) / 10 for _ in range(5 if setting.small else 20))
