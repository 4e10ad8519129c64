"""Networks side by side: a table whose ratios are those of its rows."""

from io import StringIO

import pytest
from rich.console import Console

from lightning_prune.lab.report.side_by_side import Measured, side_by_side


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
