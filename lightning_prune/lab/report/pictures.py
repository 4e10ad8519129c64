"""Draw the pictures of a run: accuracy over density, and the density of every layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.canvas import COLOURS, GREY, canvas, ink_on, percent, plain, save

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAP = colormaps["cividis"]
LINES = ("-", "--", ":")
DENSITIES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def accuracy_over_density(path: Path, curves: Mapping[str, pd.Series], title: str = "") -> Path:
    """Draw a metric over the density, one curve per run, from dense on the left to sparse on the right.

    Args:
        path: The PNG file to write.
        curves: Name of the run -> values over density. Each series is named after its metric. Every metric has its own
            panel.
        title: The text above the picture.

    Returns:
        ``path``.
    """
    metrics = list(dict.fromkeys(str(curve.name) for curve in curves.values()))
    figure, panels = canvas(panels=len(metrics))
    lowest = min(float(curve.index.min()) for curve in curves.values())
    for metric, axes in zip(metrics, panels, strict=True):
        shown = {name: curve.dropna() for name, curve in curves.items() if curve.name == metric}
        _draw_curves(axes, shown, list(curves))
        _draw_reference(axes, pd.concat(list(shown.values())))
        _density_axis(axes, lowest)
        _metric_axis(axes, metric)
        if len(curves) > 1:
            axes.legend(frameon=False, loc="best")
    panels[0].set_title(plain(title), fontsize=10)
    return save(figure, path)


def density_per_layer(path: Path, layers: pd.DataFrame, title: str = "") -> Path:
    """Draw the density of each tensor in each cycle as a map.

    Args:
        path: The PNG file to write.
        layers: The densities in [0, 1], with a row per tensor and a column per cycle.
        title: The name of the run.

    Returns:
        ``path``.
    """
    tensors, cycles = layers.shape
    figure, (axes,) = canvas(width=3.5 + 0.55 * max(cycles, 8), height=1.6 + 0.36 * tensors)
    values = layers.to_numpy(dtype=float)
    lowest = min(float(values[values > 0].min(initial=1.0)), 0.5)
    norm = LogNorm(vmin=lowest, vmax=1.0)
    image = axes.pcolormesh(np.where(values > 0, values, np.nan), cmap=MAP, norm=norm, edgecolors="w", linewidth=1)
    if tensors * cycles <= 400:
        _write_cells(axes, values, norm)
    axes.set_xticks(np.arange(cycles) + 0.5, [str(cycle) for cycle in layers.columns])
    axes.set_yticks(np.arange(tensors) + 0.5, [plain(str(name)) for name in layers.index])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="cycle", title=f"{plain(title)}: weights left in each tensor, in %".removeprefix(": "))
    ticks = [density for density in DENSITIES if density >= lowest]
    bar = figure.colorbar(image, ax=axes, ticks=FixedLocator(ticks), format=FuncFormatter(percent), pad=0.02)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
    return save(figure, path)


def _draw_curves(axes: Axes, curves: Mapping[str, pd.Series], every: Sequence[str]) -> None:
    """Draw the runs of one panel. The color of a run follows from its place in ``every``."""
    for name, curve in curves.items():
        index = every.index(name)
        turn = index % len(COLOURS)
        style = LINES[index // len(COLOURS) % len(LINES)] + MARKERS[turn]
        width = max(2.6 - 0.5 * index, 1.4)  # A wide curve is still visible below a narrow one.
        axes.plot(
            curve.index, curve, style, label=plain(name), color=COLOURS[turn], linewidth=width, markersize=3 + 2 * width
        )


def _density_axis(axes: Axes, lowest: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.08, lowest / 1.08)
    axes.xaxis.set_major_locator(FixedLocator([density for density in DENSITIES if density >= lowest / 1.08]))
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("density: prunable weights that are left (dense on the left, sparse on the right)")


def _metric_axis(axes: Axes, metric: str) -> None:
    axes.set_ylabel(plain(metric))
    if is_fraction(metric):
        axes.yaxis.set_major_formatter(FuncFormatter(percent))


def _draw_reference(axes: Axes, values: pd.Series) -> None:
    """Draw a line at the level of the dense network, if it is the same in all runs."""
    dense = values[values.index >= 1]
    if dense.empty or not np.allclose(dense, dense.iloc[0], rtol=1e-4, atol=0):
        return
    level = float(dense.iloc[0])
    axes.axhline(level, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    where = axes.get_yaxis_transform()
    axes.text(1.0, level, "dense ", color=GREY, ha="right", va="bottom", fontsize=9, transform=where)


def _write_cells(axes: Axes, values: np.ndarray, norm: LogNorm) -> None:
    for (row, column), value in np.ndenumerate(values):
        shade = ink_on(*MAP(norm(value))[:3]) if value > 0 else "black"
        axes.text(column + 0.5, row + 0.5, f"{100 * value:.3g}", ha="center", va="center", fontsize=8, color=shade)
