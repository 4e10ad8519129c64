"""Measure how long it takes to find which slices go together, against a forward pass and against torch-pruning.

Run with ``make bench``, or alone: ``python benchmarks/structures.py``. All figures are ratios of the shortest of
alternating measurements in one process, in seconds of the CPU with one thread.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from lightning_prune import structures_of


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    measured: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether the figure is within its limit."""
        return self.value <= self.limit


def shortest(functions: list[Callable[[], Any]], rounds: int) -> list[float]:
    """The shortest time of each function, measured in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, found in zip(functions, times, strict=True):
            start = time.process_time()  # what else the machine does does not count
            function()
            found.append(time.process_time() - start)
    return [min(found) for found in times]


def groups_of_torch_pruning(network: nn.Module, images: Tensor) -> int:
    """Build the dependency graph of torch-pruning, and count all groups."""
    import torch_pruning

    graph = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=images)
    return sum(1 for _ in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))


def figures(size: int, rounds: int) -> Iterator[Figure]:
    """Measure one figure after the other.

    Args:
        size: The edge of the images in pixels, a multiple of 32.
        rounds: How often each time is taken.
    """
    images = torch.rand(1, 3, size, size)
    resnet = torchvision.models.resnet50().eval()
    with torch.no_grad():
        resnet(images)
    find, forward = shortest([lambda: structures_of(resnet, images), lambda: _forward(resnet, images)], rounds)
    yield Figure(f"ResNet-50 at {size} px: groups / one forward pass", find / forward, 5)
    networks = {"ResNet-50": resnet, "ViT-B/16": torchvision.models.vit_b_16(image_size=size).eval()}
    for name, network in networks.items():
        ours, theirs = shortest(
            [
                lambda network=network: structures_of(network, images),  # type: ignore[misc]
                lambda network=network: groups_of_torch_pruning(network, images),  # type: ignore[misc]
            ],
            rounds,
        )
        yield Figure(f"{name}: groups / torch-pruning", ours / theirs, 1)
    swin = torchvision.models.swin_t().eval()
    find, forward = shortest([lambda: structures_of(swin, images), lambda: _forward(swin, images)], rounds)
    yield Figure("Swin-T, which torch-pruning does not end: groups / one forward pass", find / forward, 20)


def _forward(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        network(images)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="images of 64 pixels, each time taken once")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = Table("measured", "value", "demanded", "met")
    for figure in figures(64 if options.quick else 224, 1 if options.quick else 8):
        table.add_row(figure.measured, f"{figure.value:.2f}", f"<= {figure.limit:g}", "yes" if figure.met else "no")
    Console().print(table)


if __name__ == "__main__":
    main()
