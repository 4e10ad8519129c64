"""What two of every four weights gain: a wide MLP and ViT-B/16, dense against 2:4, at several sizes of a batch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from benchmarks.gpu_parts.setting import Row, Setting, Stopwatch, holds
from lightning_prune import NofM, ReplacedLayers, prune, to_semi_structured
from lightning_prune.deployment.semi_structured import is_two_of_four

DTYPES = (torch.float16, torch.bfloat16)


def wide(width: int) -> nn.Module:
    """Three linear layers of one width."""
    layers = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def rows(setting: Setting) -> Iterator[Row]:
    """The speed-up of 2:4 over dense for each network, precision and batch. The dense network comes back each time."""
    width, batches = (64, (1, 8)) if setting.small else (4096, (1, 8, 64, 512, 4096))
    images = (1,) if setting.small else (1, 8, 64, 512, 4096)
    vit = partial(torchvision.models.VisionTransformer, 32 if setting.small else 224, 16)
    small_vit = partial(vit, num_layers=1, num_heads=2, hidden_dim=64, mlp_dim=128)
    large_vit = partial(vit, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072)
    for dtype in DTYPES:
        yield from of_network(f"MLP {width} wide", wide(width), dtype, batches, (width,), setting)
        network = small_vit() if setting.small else large_vit()
        edge = 32 if setting.small else 224
        yield from of_network("ViT" if setting.small else "ViT-B/16", network, dtype, images, (3, edge, edge), setting)


def of_network(
    name: str,
    network: nn.Module,
    dtype: torch.dtype,
    batches: tuple[int, ...],
    shape: tuple[int, ...],
    setting: Setting,
) -> Iterator[Row]:
    """The rows of a network in a precision."""
    prune(network, 0.5, granularity=NofM(2, 4))
    network = network.to(setting.device, dtype).eval()
    said = f"{name}, {str(dtype).removeprefix('torch.')}"
    linear = [one for one in network.modules() if isinstance(one, nn.Linear)]
    fits = [is_two_of_four(one.weight) for one in linear]
    yield holds(f"{said}: every linear layer that fits has the pattern", all(fits), f"{len(linear)} layers")
    for batch in batches:
        if setting.left < 5:
            return
        try:
            yield from at_batch(
                f"{said}, batch {batch}", network, torch.randn(batch, *shape).to(setting.device, dtype), setting
            )
        except torch.cuda.OutOfMemoryError:
            yield Row(f"{said}, batch {batch}", "too large for the memory")


def at_batch(said: str, network: nn.Module, x: Tensor, setting: Setting) -> Iterator[Row]:
    """Dense over 2:4 at one batch. Without a GPU torch has no kernel, and only the dense network is timed."""
    with torch.no_grad(), ExitStack() as undo:
        expected = network(x)
        dense = fastest(partial(network, x), setting)
        if not setting.on_gpu:
            yield Row(f"{said}: dense, milliseconds", dense, note="2:4 needs a GPU")
            return
        changed: ReplacedLayers = to_semi_structured(network, x, only_gains=False)
        undo.callback(changed.undo)
        error = float((network(x) - expected).abs().max() / expected.abs().max())
        sparse = fastest(partial(network, x), setting)
        gains = [one.gain for one in changed.layers if one.gain is not None]
        note = f"{len(changed.replaced)} of {len(changed.layers)} layers, {sum(gain > 1 for gain in gains)} gain"
        yield Row(f"{said}: dense / 2:4", dense / sparse, note=note)
        yield Row(f"{said}: relative error", error, "<= 0.02", error <= 0.02)


def fastest(function: Callable[[], Any], setting: Setting) -> float:
    """The shortest milliseconds of a call: of twenty, or of fewer that take half a second together."""
    watch = Stopwatch(setting.device)
    function()
    first = watch.time(function)
    return min(first, *(watch.time(function) for _ in range(3 if setting.small else max(1, min(20, int(500 / first))))))
