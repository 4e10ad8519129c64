"""A run as pictures: accuracy over density, the learning rate, and the density of every layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from lightning_prune.lab.report.names import is_fraction
from lightning_prune.lab.report.reading import Run
from lightning_prune.lab.report.table import rate_curves

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers. Yellow is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":")
GREY = "#888888"
DENSITIES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
DOTS_PER_INCH = 150


def accuracy_over_density(path: Path, curves: Mapping[str, pd.Series]) -> Path:
    """Draw a metric over the density, one curve per run, from dense on the left to sparse on the right.

    Args:
        path: The PNG to write.
        curves: Name of the run -> values over density, each named after its metric.

    Returns:
        ``path``.
    """
    figure, axes = _canvas()
    for index, (name, curve) in enumerate(curves.items()):
        known, turn = curve.dropna(), index % len(COLOURS)
        style = LINES[index // len(COLOURS) % len(LINES)] + MARKERS[turn]
        width = max(2.6 - 0.5 * index, 1.4)  # a curve below another one shows at its edges
        axes.plot(known.index, known, style, label=name, color=COLOURS[turn], linewidth=width, markersize=3 + 2 * width)
    every = pd.concat(list(curves.values())).dropna()
    _draw_reference(axes, every)
    _density_axis(axes, float(min(every.index)))
    _metric_axis(axes, sorted({str(curve.name) for curve in curves.values()}))
    if len(curves) > 1:
        axes.legend(frameon=False, loc="best")
    return _save(figure, path)


def learning_rate(path: Path, run: Run) -> Path:
    """Draw every parameter group's rate over the whole run, with the cycles marked.

    Args:
        path: The PNG to write.
        run: What was read.

    Returns:
        ``path``.
    """
    figure, axes = _canvas(width=10)
    rates = rate_curves(run)
    for index, (name, rate) in enumerate(rates.items()):
        axes.plot(rate.index, rate.to_numpy(), label=name, linewidth=1.4, color=COLOURS[index % len(COLOURS)])
    every = np.concatenate([rate.to_numpy() for rate in rates.values()])
    positive = every[every > 0]
    if positive.size and positive.max() > 30 * positive.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(positive.min(), positive.max() * 1e-6) / 1.5)
    _mark_cycles(axes, run)
    axes.set(xlabel="optimizer step", ylabel="learning rate")
    if len(rates) > 1:
        axes.legend(frameon=False)
    return _save(figure, path)


def density_per_layer(path: Path, layers: pd.DataFrame) -> Path:
    """Draw how dense each tensor is in each cycle, as a map.

    Args:
        path: The PNG to write.
        layers: One row per tensor, one column per cycle, densities in [0, 1].

    Returns:
        ``path``.
    """
    tensors, cycles = layers.shape
    figure, axes = _canvas(width=3.5 + 0.55 * max(cycles, 8), height=1.6 + 0.36 * tensors)
    values = layers.to_numpy(dtype=float)
    lowest = min(float(values[values > 0].min(initial=1.0)), 0.5)
    norm = LogNorm(vmin=lowest, vmax=1.0)
    image = axes.pcolormesh(
        np.where(values > 0, values, np.nan), cmap="cividis", norm=norm, edgecolors="w", linewidth=1
    )
    if tensors * cycles <= 400:
        _write_cells(axes, values, norm)
    axes.set_xticks(np.arange(cycles) + 0.5, [str(cycle) for cycle in layers.columns])
    axes.set_yticks(np.arange(tensors) + 0.5, [str(name) for name in layers.index])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="cycle", title="weights left in each tensor, in %")
    ticks = [density for density in DENSITIES if density >= lowest]
    bar = figure.colorbar(image, ax=axes, ticks=FixedLocator(ticks), format=FuncFormatter(_percent), pad=0.02)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
    return _save(figure, path)


def _canvas(width: float = 7.5, height: float = 4.5) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:.4g} %"


def _density_axis(axes: Axes, lowest: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.08, lowest / 1.08)
    axes.xaxis.set_major_locator(FixedLocator([density for density in DENSITIES if density >= lowest / 1.08]))
    axes.xaxis.set_major_formatter(FuncFormatter(_percent))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("density: prunable weights that are left (dense on the left, sparse on the right)")


def _metric_axis(axes: Axes, metrics: Sequence[str]) -> None:
    axes.set_ylabel(", ".join(metrics))
    if all(map(is_fraction, metrics)):
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))


def _draw_reference(axes: Axes, values: pd.Series) -> None:
    """A line at the dense network's level, the mean over the runs."""
    dense = values[values.index >= 1]
    if dense.empty:
        return
    level = float(dense.mean())
    axes.axhline(level, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    where = axes.get_yaxis_transform()
    axes.text(1.0, level, "dense ", color=GREY, ha="right", va="bottom", fontsize=9, transform=where)


def _mark_cycles(axes: Axes, run: Run) -> None:
    starts = run.first_steps
    end = float(run.rows["step"].max()) + 1
    axes.set_xlim(0, end)
    edges = [*starts.values(), end]
    for index, (cycle, start) in enumerate(starts.items()):
        if cycle:
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        if cycle % (1 + len(starts) // 25) == 0:
            middle, name = (start + edges[index + 1]) / 2, str(cycle) if cycle else "dense"
            axes.text(middle, 1.01, name, color=GREY, ha="center", fontsize=9, transform=axes.get_xaxis_transform())
    axes.set_title("cycle", fontsize=9, color=GREY, pad=16)


def _write_cells(axes: Axes, values: np.ndarray, norm: LogNorm) -> None:
    for (row, column), value in np.ndenumerate(values):
        shade = "black" if norm(max(value, 1e-9)) > 0.5 else "white"
        axes.text(column + 0.5, row + 0.5, f"{100 * value:.3g}", ha="center", va="center", fontsize=8, color=shade)
