"""Networks side by side: fair turns, the user's modes, and a table whose ratios are those of its rows."""

from io import StringIO

import pytest
import torch
from rich.console import Console
from torch import nn

from lightning_prune.lab import ConvNet
from lightning_prune.lab.report.side_by_side import Measured, fastest_passes, operations, side_by_side


def test_the_networks_take_turns_in_eval_mode_and_keep_their_modes():
    passes = []
    networks = [ConvNet(channels=1, width=2), ConvNet(channels=1, width=4)]
    networks[1].features.eval()
    before = [[one.training for one in network.modules()] for network in networks]
    for number, network in enumerate(networks):
        network.register_forward_hook(
            lambda net, *_, number=number: passes.append(
                (number, any(one.training for one in net.modules()), torch.is_grad_enabled())
            )
        )
    seconds = fastest_passes(networks, torch.rand(2, 1, 8, 8), rounds=3)
    assert passes == [(0, False, False), (1, False, False)] * 4  # one round to warm up, and three
    assert [[one.training for one in network.modules()] for network in networks] == before
    assert len(seconds) == 2
    assert min(seconds) > 0


def test_operations_are_those_of_the_layers():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
    assert operations(network, torch.rand(1, 1, 8, 8)) == 2 * (9 * 4 * 64 + 4 * 64 * 10)


@pytest.mark.parametrize(("accuracy", "points"), [(0.97, "-1.0 points"), (0.99, "+1.0 points")])
def test_the_table_holds_both_networks_and_their_ratios(accuracy, points):
    console = Console(width=100, file=StringIO())
    dense = Measured("dense", 0.98, 2000, 8_000_000, 40_000, 0.02)
    console.print(side_by_side(dense, Measured("half", accuracy, 500, 4_000_000, 30_000, 0.012)))
    rows = [line.split("  ") for line in console.file.getvalue().splitlines() if line.strip()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[2:] == [
        ["dense", "98.0 %", "2,000", "8.00 M", "40 kB", "20.0 ms"],
        ["half", f"{100 * accuracy:.1f} %", "500", "4.00 M", "30 kB", "12.0 ms"],
        ["change", points, "x 0.25", "x 0.50", "x 0.75", "x 0.60"],
    ]
