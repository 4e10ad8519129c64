"""Set networks side by side: what they can do, what they weigh, and how long they take."""

from dataclasses import dataclass

from rich import box
from rich.table import Table

from lightning_prune.lab.report.terminal import percent


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
