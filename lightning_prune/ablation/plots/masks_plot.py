"""Draw which weights of a network live, a panel for each tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from torch import Tensor, nn

from lightning_prune.ablation.plots.group_bars import ROOM, bars_of, color_of_groups, draw_bars
from lightning_prune.ablation.plots.plot import Plot
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.report.terminal import percent
from lightning_prune.lab.report.vega import DATA, Rows, printed, with_rows
from lightning_prune.structures.groups import FoundStructures

SIDE = 150  # points, of a panel
COLUMNS = 4
DEAD, ALIVE = "#ffffff", "#0072B2"


def plot_masks(
    masks: nn.Module | Mapping[str, Tensor],
    names: Sequence[str] | None = None,
    cells: int = 48,
    structures: FoundStructures | None = None,
) -> Plot:
    """Draw the masks of a network: a panel for each tensor, outputs from top to bottom, inputs from left to right.

    A tensor of more than two dimensions is drawn as a matrix: all weights of an output lie in one row. Where a tensor
    has more rows or columns than ``cells``, a cell is the mean of several weights, from white (all dead) to blue (all
    alive).

    Args:
        masks: A network, whose weights that are not zero count as alive, or masks by name: ``pruning.masks``, or what
            ``prune`` returns. Tensors of fewer than two dimensions, such as biases, are left out.
        names: The tensors to draw. None: all.
        cells: The largest number of cells along a side, at least 1.
        structures: What ``structures_of`` has found in the network. Bars beside each panel then show the groups: rows
            and columns along bars of one color are removed together, and what has a gray bar is never removed. A
            column is an input channel then, with all of its weights.

    Returns:
        The picture. Its rows have the tensor, its ``density`` within the cell, and the place ``row`` and ``column``.
        With ``structures`` there is also a row for each bar, with its ``group``.

    Raises:
        ValueError: If there is nothing to draw, a name is unknown, or the structures are those of another network.

    Example:
        >>> import torch
        >>> plot = plot_masks({"layer": torch.tensor([[True, False], [True, True]])})
        >>> [(cell["row"], cell["column"], cell["density"]) for cell in plot.rows]
        [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 1.0), (1, 1, 1.0)]
        >>> from lightning_prune import structures_of
        >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> rows = plot_masks(network, structures=structures_of(network, torch.ones(1, 3))).rows
        >>> [(row["tensor"], row["dim"]) for row in rows if row.get("group") == "0"]
        [('0.weight', 0), ('2.weight', 1)]
    """
    if cells < 1:
        raise UserError(f"plot_masks(cells={cells}) must be at least 1.")
    alive = _alive(masks, names, by_channel=structures is not None)
    bars = [] if structures is None else _bars(structures, alive)
    fill = color_of_groups(bars) if bars else None
    rows: Rows = [row for name, mask in alive.items() for row in _cells(name, mask, cells)]
    panels = [_panel(name, mask, fill) for name, mask in alive.items()]
    lines = [alt.hconcat(*panels[at : at + COLUMNS]) for at in range(0, len(panels), COLUMNS)]
    chart = alt.vconcat(*lines, data=DATA).resolve_scale(color="shared", x="independent", y="independent")
    return Plot(printed(with_rows(chart, [*rows, *bars])))


def _bars(structures: FoundStructures, alive: Mapping[str, Tensor]) -> Rows:
    if strange := [name for name, mask in alive.items() if structures.shapes.get(name, (0,))[0] != len(mask)]:
        raise UserError(
            f"plot_masks(structures=...) was not found in this network: it has no {', '.join(strange)} of this shape. "
            "Give structures_of(network, batch)."
        )
    return bars_of(structures, alive)


def _alive(masks: nn.Module | Mapping[str, Tensor], names: Sequence[str] | None, by_channel: bool) -> dict[str, Tensor]:
    """The masks to draw, as matrices. Of a convolution by channels, an element is the mean over the kernel."""
    if isinstance(masks, nn.Module):
        found = {name: one.detach() != 0 for name, one in masks.named_parameters()}
    elif isinstance(masks, Mapping):
        found = dict(masks)
    else:
        raise UserError(
            f"plot_masks({type(masks).__name__}) draws a network, or masks by name such as `pruning.masks`."
        )
    known = {
        name: (mask.detach().cpu() != 0).float() for name, mask in found.items() if mask.dim() > 1 and mask.numel()
    }
    drawn = {
        name: mask.flatten(2).mean(2) if by_channel and mask.dim() > 2 else mask.flatten(1)
        for name, mask in known.items()
    }
    if unknown := [name for name in names or () if name not in drawn]:
        raise UserError(f"plot_masks(names={unknown}): there are {', '.join(drawn) or 'no tensors to draw'}.")
    if not drawn:
        raise UserError("plot_masks(masks) has nothing to draw: no tensor has two dimensions.")
    return {name: drawn[name] for name in names or drawn}


def _cells(name: str, mask: Tensor, cells: int) -> Rows:
    """The mean of the mask in each cell."""
    size = (min(len(mask), cells), min(mask.shape[1], cells))
    means = nn.functional.adaptive_avg_pool2d(mask[None], size)[0]
    return [
        {"tensor": name, "row": row, "column": column, "density": round(value, 4)}
        for row, line in enumerate(means.tolist())
        for column, value in enumerate(line)
    ]


def _panel(name: str, mask: Tensor, fill: alt.Fill | None) -> Any:
    """The panel of a tensor, with its longer side as long as all panels'."""
    height, width = (max(SIDE * length / max(mask.shape), 12) for length in mask.shape)
    title: dict[str, Any] = {
        "text": name.removesuffix(".weight"),
        "subtitle": f"{' x '.join(map(str, mask.shape))}, {percent(mask.mean().item())} alive",
    }
    axis: dict[str, Any] = {"axis": None, "scale": alt.Scale(padding=0)}
    scale = alt.Scale(domain=[0, 1], range=[DEAD, ALIVE], interpolate="rgb")
    cells = (
        alt.Chart()
        .transform_filter(alt.FieldEqualPredicate(field="tensor", equal=name))
        .transform_filter("isValid(datum.density)")
        .mark_rect(stroke="#dddddd", strokeWidth=0.2)
        .encode(
            x=alt.X("column:O", **axis),
            y=alt.Y("row:O", **axis),
            color=alt.Color("density:Q", scale=scale, legend=None),
        )
    )
    heading = alt.TitleParams(**title, anchor="start", fontSize=11, limit=SIDE, offset=4 + (ROOM if fill else 0))
    if fill is None:
        return cells.properties(width=width, height=height, title=heading)
    layers = alt.layer(cells, *draw_bars(name, width, height, fill))
    return layers.resolve_scale(x="independent", y="independent").properties(width=width, height=height, title=heading)
