"""Measure how long it takes to shrink a network, and how much faster the small network is.

Run with ``make bench``, or alone: ``python benchmarks/shrinking.py``. Half of the units of every group are removed. The
speed-up is the shortest time of the dense network over that of the small one, measured in turn in one process on one
thread. It is compared with the ratio of their operations.
"""

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from lightning_prune import shrink, structures_of
from lightning_prune.deployment.profiling.profile_network import profile
from lightning_prune.deployment.profiling.turns import in_turn
from lightning_prune.lab import VGG, ResNet
from lightning_prune.structures.groups import FoundStructures

SECONDS = 0.5  # the most that removing half of ResNet-50 may take, without looking for its groups
NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], int, float]] = {  # network, edge of the images, least ratio
    "ResNet-18": (lambda: torchvision.models.resnet18(), 64, 0.75),
    "VGG-16": (lambda: VGG(16), 32, 0.8),
    "ResNet-56": (lambda: ResNet(56), 32, 0.4),
    "MobileNetV2": (lambda: torchvision.models.mobilenet_v2(), 64, 0.4),
}


def alive_of(found: FoundStructures, fraction: float, multiple: int = 1) -> dict[str, Tensor]:
    """Keep the first units of every group: about a fraction, in whole multiples."""
    alive = {}
    for name, group in found.groups.items():
        kept = max(round(group.width * fraction / multiple) * multiple, min(multiple, group.width))
        alive[name] = (torch.arange(group.width) < kept).to(torch.uint8)
    return alive


def seconds_to_shrink(rounds: int) -> tuple[float, float]:
    """The shortest time to remove half of every group of ResNet-50 with its checks, and that of one forward pass."""
    images, shrinking, passing = torch.randn(1, 3, 64, 64), [], []
    whole = torchvision.models.resnet50().eval()
    found = structures_of(whole, images)
    for _ in range(rounds):
        network = copy.deepcopy(whole)
        start = time.perf_counter()
        shrink(network, example=images, alive=alive_of(found, 0.5), structures=found)
        shrinking.append(time.perf_counter() - start)
        with torch.no_grad():
            passing.append(in_turn([partial(whole, images)], rounds=1, warm_up=1)[0].minimum)
    return min(shrinking), min(passing)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="measurements of each network")
    parser.add_argument("--batch", type=int, default=16, help="images in a batch")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    console, table = Console(), Table("network", "multiple", "operations", "speed-up", "ratio of the two", "at least")
    for name in options.networks:
        make, size, least = NETWORKS[name]
        whole, images = make().eval(), torch.randn(options.batch, 3, size, size)
        found = structures_of(whole, images)
        for multiple in (1, 8):
            small = copy.deepcopy(whole)
            shrink(small, example=images[:2], alive=alive_of(found, 0.5, multiple), structures=found)
            measured = profile(small, images, whole, batch=[options.batch], rounds=options.rounds, warm_up=1)
            (timing,) = measured.timings
            ratios = measured.fewer_flops, timing.speedup, measured.became_time(timing), least
            table.add_row(name, str(multiple), *(f"{one:.2f}" for one in ratios))
    console.print(table)
    seconds, forward = seconds_to_shrink(min(options.rounds, 5))
    console.print(f"ResNet-50, half of every group: {seconds:.2f} s with its checks, at most {SECONDS} s.")
    console.print(f"One forward pass takes {forward:.2f} s.")


if __name__ == "__main__":
    main()
