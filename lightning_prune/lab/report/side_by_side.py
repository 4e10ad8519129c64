"""Set networks side by side: what they can do, what they weigh, and how long they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from rich import box
from rich.table import Table
from torch import Tensor, nn

from lightning_prune.lab.report.terminal import percent
from lightning_prune.structures.flops import count_flops


@dataclass(frozen=True)
class Measured:
    """What was measured of a network.

    Args:
        name: The network's name in a table.
        accuracy: The fraction of images that it recognizes, in [0, 1].
        parameters: The number of its parameters.
        flops: The floating-point operations for one image. A multiplication and an addition are two.
        size: The bytes of its file.
        seconds: The time of one forward pass.
    """

    name: str
    accuracy: float
    parameters: int
    flops: int
    size: int
    seconds: float


def fastest_passes(networks: Sequence[nn.Module], images: Tensor, rounds: int = 200) -> list[float]:
    """Measure the fastest forward pass of each network, in eval mode and without gradients.

    The networks take turns, so that whatever else the machine does slows all of them. The first round is not measured.

    Args:
        networks: The networks. Their modes stay as they are.
        images: What they get, ``[N, C, H, W]``.
        rounds: The number of passes of each network that are measured, at least 1.

    Returns:
        The time of the fastest pass of each network, in seconds.

    Example:
        >>> seconds = fastest_passes([nn.Linear(8, 8), nn.Linear(8, 80)], torch.rand(64, 8), rounds=3)
        >>> len(seconds), min(seconds) > 0
        (2, True)
    """
    modes = [{one: one.training for one in network.modules()} for network in networks]
    times: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for number in range(rounds + 1):
            for network, found in zip(networks, times, strict=True):
                network.eval()
                start = time.perf_counter()
                network(images)
                found.extend([time.perf_counter() - start] if number else [])
    for before in modes:
        for module, training in before.items():
            module.training = training
    return [min(found) for found in times]


def operations(network: nn.Module, image: Tensor) -> int:
    """Count the floating-point operations of a forward pass.

    Args:
        network: The network, in eval mode.
        image: What it gets.

    Example:
        >>> operations(nn.Linear(3, 2), torch.ones(1, 3))
        12
    """
    with torch.no_grad():
        return count_flops(network, partial(network, image)).total


def side_by_side(dense: Measured, small: Measured) -> Table:
    """Lay out two networks and their ratio in a table.

    Args:
        dense: What was measured of the dense network.
        small: What was measured of the small one.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("network")
    for header in ("test accuracy", "parameters", "FLOPs", "file", "time"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in (dense, small):
        costs = f"{one.flops / 1e6:.2f} M", f"{one.size / 1e3:,.0f} kB", f"{1e3 * one.seconds:.1f} ms"
        table.add_row(one.name, percent(one.accuracy), f"{one.parameters:,}", *costs)
    pairs = [(getattr(small, of), getattr(dense, of)) for of in ("parameters", "flops", "size", "seconds")]
    points = 100 * (small.accuracy - dense.accuracy)
    table.add_row("change", f"{points:+.1f} points", *(f"x {now / before:.2f}" for now, before in pairs))
    return table
