"""What a pruning event costs: time, memory and waits of the host."""

import copy
import statistics
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from benchmarks.gpu_parts.networks import NETWORKS
from benchmarks.gpu_parts.setting import Row, Setting, Stopwatch, at_least, at_most, wait
from lightning_prune import Prunable, globally, magnitude
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.pruner import Pruner


def rows(setting: Setting) -> Iterator[Row]:
    """Global magnitude pruning to 80 % of ResNet-50, ViT-B/16 and a billion weights."""
    kinds: dict[str, Callable[[], nn.Module]] = {name: NETWORKS[name] for name in ("ResNet-50", "ViT-B/16")}
    kinds["1 billion weights"] = partial(linears, setting.device)
    if setting.small:
        kinds = {"ResNet-20": NETWORKS["ResNet-20"]}
    for name, make in kinds.items():
        yield from of(name, make().to(setting.device), setting)


def linears(device: torch.device) -> nn.Module:
    """Four linear layers of 2 ** 28 weights each."""
    with device:
        return nn.Sequential(*(nn.Linear(2**14, 2**14, bias=False) for _ in range(4)))


def of(name: str, network: nn.Module, setting: Setting) -> Iterator[Row]:
    """The rows of one network."""
    watch, weights = Stopwatch(setting.device), Prunable()(network).weights
    before = {one: weight.detach().cpu().clone() for one, weight in weights.items()}
    prune = partial(prune_once, weights)
    prune()  # once to warm up
    reads, ours, peaks = [], [], []
    for _ in range(3 if setting.small else 9):
        put_back(weights, before)
        reads.append(watch.time(lambda: [weight.detach().sum() for weight in weights.values()]))
        peaks.append(peak_of(prune, setting.device))
        put_back(weights, before)
        ours.append(watch.time(prune))
    put_back(weights, before)
    waits = host_waits(prune, setting.device)
    put_back(weights, before)
    torchs = watch.time(partial(global_unstructured, copy.deepcopy(network)))
    event, read = statistics.median(ours), statistics.median(reads)
    yield at_most(f"event / read pass, {name}", event / read, 25, f"{event:.2f} ms / {read:.3f} ms")
    yield at_least(f"torch.nn.utils.prune.global_unstructured / event, {name}", torchs / event, 1, f"{torchs:.1f} ms")
    size = sum(weight.numel() for weight in weights.values())
    if setting.on_gpu:
        yield Row(f"peak memory beyond the weights, bytes a weight, {name}", max(peaks) / size)
        yield Row(f"waits of the host for the device in an event, {name}", float(waits))
    wait(setting.device)


def prune_once(weights: Mapping[str, Tensor]) -> None:
    """Score, allocate, mask and apply, from nothing."""
    pruner, hold = Pruner(weights, magnitude, globally, seed=0), Hold(weights)
    pruner.prune_(1, 0.8)
    hold.use(pruner.held())


def put_back(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Make the weights dense again."""
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(values[name])


def peak_of(function: Callable[[], Any], device: torch.device) -> int:
    """The most memory that a call has beyond what there was before it, in bytes. 0 without a GPU."""
    if device.type != "cuda":
        return 0
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    return torch.cuda.max_memory_allocated(device) - before


def host_waits(function: Callable[[], Any], device: torch.device) -> int:
    """How often the program waits for the device in a call."""
    if device.type != "cuda":
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


def global_unstructured(network: nn.Module) -> None:
    """The same by torch."""
    owners = dict(network.named_modules())
    pairs = [(owners[one.rpartition(".")[0]], one.rpartition(".")[2]) for one in Prunable()(network).weights]
    torch_prune.global_unstructured(pairs, torch_prune.L1Unstructured, amount=0.8)
