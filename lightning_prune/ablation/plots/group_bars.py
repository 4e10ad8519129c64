"""Draw beside a matrix which of its rows and columns belong to which group of structures."""

from collections.abc import Collection
from itertools import groupby
from typing import Any

import altair as alt

from lightning_prune.lab.report.canvas import COLORS
from lightning_prune.lab.report.vega import Rows
from lightning_prune.structures.groups import FoundStructures

AWAY, THICK = 3, 6  # points, from the matrix to its bars and across a bar
ROOM = AWAY + THICK
KEPT, GRAY = "never removed", "#cccccc"
LEGEND = alt.Legend(title=None, orient="top", labelLimit=200, symbolType="square", symbolStrokeWidth=0, columns=6)


def bars_of(found: FoundStructures, tensors: Collection[str]) -> Rows:
    """Say for the rows (dimension 0) and columns (dimension 1) of tensors to which group they belong.

    Args:
        found: The structures of the network.
        tensors: The names of weights.

    Returns:
        A row for each stretch: its ``tensor``, ``dim`` and ``group``, and where it begins and ends, from 0 to 1.

    Example:
        >>> from torch import nn, ones
        >>> from lightning_prune import structures_of
        >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(bar["dim"], bar["group"]) for bar in bars_of(structures_of(network, ones(1, 3)), ["2.weight"])]
        [(0, 'never removed'), (1, '0')]
    """
    rows: Rows = []
    for tensor in tensors:
        for dim in (0, 1):
            names = _names(found, tensor, dim)
            at = 0
            for name, members in groupby(names):
                end = at + len(list(members))
                ends = {"start": at / len(names), "end": end / len(names)}
                rows.append({"tensor": tensor, "dim": dim, "group": name, **ends})
                at = end
    return rows


def _names(found: FoundStructures, tensor: str, dim: int) -> list[str]:
    """The group of each index along a dimension."""
    names = [KEPT] * found.shapes[tensor][dim]
    for group in found.groups.values():
        for one in group.slices:
            if (one.tensor, one.dim) == (tensor, dim):
                for index in (one.units >= 0).nonzero().flatten().tolist():
                    names[index] = group.name
    return names


def color_of_groups(bars: Rows) -> alt.Fill:
    """Give each group a color, and gray to what is never removed."""
    names = sorted({bar["group"] for bar in bars} - {KEPT}, key=[bar["group"] for bar in bars].index)
    colors = [COLORS[place % len(COLORS)] for place in range(len(names))]
    return alt.Fill("group:N", scale=alt.Scale(domain=[*names, KEPT], range=[*colors, GRAY]), legend=LEGEND)


def draw_bars(tensor: str, width: float, height: float, fill: alt.Fill) -> list[Any]:
    """The bars of one matrix: its rows to the left of it, its columns above it.

    Args:
        tensor: The name of the weight.
        width: The width of the matrix in points.
        height: Its height in points.
        fill: The colors of the groups.
    """
    near, far = alt.value(-AWAY), alt.value(-ROOM)
    own = alt.Chart().transform_filter(alt.FieldEqualPredicate(field="tensor", equal=tensor))

    def along(dim: int, length: float) -> Any:
        ends = {"from_": f"datum.start * {length}", "to": f"datum.end * {length}"}
        return own.transform_filter(f"datum.dim == {dim}").transform_calculate(**ends).mark_rect()

    rows = along(0, height).encode(x=far, x2=near, y=alt.Y("from_:Q", scale=None, axis=None), y2="to:Q", fill=fill)
    columns = along(1, width).encode(y=far, y2=near, x=alt.X("from_:Q", scale=None, axis=None), x2="to:Q", fill=fill)
    return [rows, columns]
