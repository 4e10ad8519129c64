"""Collect and draw the learning rate over the steps, exactly from rates.csv, or else from sampled rates."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lightning_prune.lab.report.canvas import COLOURS, GREY, canvas, plain, save
from lightning_prune.lab.report.logged_run import Run

FEW = 40
RANGE = ["pruning/lr_min", "pruning/lr_max"]


def rate_curves(run: Run) -> dict[str, pd.Series]:
    """Collect the rate of every parameter group over the steps. Groups with always equal rates are one.

    Returns:
        The columns of rates.csv, with a row at each change of a rate. Without rates.csv, the sampled columns of a
        LearningRateMonitor, with a gap before each cycle.
    """
    if len(run.rates):
        return _distinct(run.rates.ffill())
    named = run.rows.filter(regex=r"^lr-.*(?<!-momentum)(?<!-weight_decay)$")
    sampled = named.groupby(run.rows["step"]).last(numeric_only=True)
    starts = [start - 0.5 for start in run.first_steps.values()]
    return {
        name: pd.concat([curve, pd.Series(np.nan, index=starts)]).sort_index()
        for name, curve in _distinct(sampled).items()
    }


def rate_band(run: Run) -> pd.DataFrame:
    """Collect the smallest and the largest rate of every epoch, by its first step. Empty if there is a rates.csv."""
    if len(run.rates) or not set(RANGE) <= set(run.rows):
        return pd.DataFrame(columns=RANGE, dtype=float)
    epochs = run.rows.dropna(subset=RANGE).groupby("step")[RANGE].last()
    starts = [0.0, *(epochs.index + 1.0)]
    return pd.concat([epochs, epochs.tail(1)]).set_axis(starts[: len(epochs) + 1] if len(epochs) else [])


def draw_learning_rate(path: Path, run: Run) -> Path | None:
    """Draw every parameter group's rate over the whole run, with the cycles marked.

    Args:
        path: The PNG file to write.
        run: The run.

    Returns:
        ``path``. ``None`` if no learning rate was logged at all.
    """
    curves, band = rate_curves(run), rate_band(run)
    if not curves and band.empty:
        return None
    figure, (axes,) = canvas(width=10)
    if len(band):
        low, high = (band[name].to_numpy() for name in RANGE)
        axes.fill_between(
            band.index, low, high, step="post", color="#cccccc", linewidth=1.5, label="range in the epoch"
        )
    for index, (name, curve) in enumerate(curves.items()):
        _draw_curve(axes, curve, name, COLOURS[index % len(COLOURS)], exact=len(run.rates) > 0)
    _scale(axes, np.concatenate([*curves.values(), band.to_numpy().ravel()]))
    _mark_cycles(axes, run)
    axes.set(xlabel="optimizer step", ylabel="learning rate")
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(frameon=False)
    return save(figure, path)


def _distinct(rates: pd.DataFrame) -> dict[str, pd.Series]:
    distinct: dict[str, pd.Series] = {}
    for name, column in rates.items():
        curve = column.dropna()
        if curve.size and not any(curve.equals(other) for other in distinct.values()):
            distinct[str(name)] = curve
    return distinct


def _draw_curve(axes: Axes, curve: pd.Series, name: str, colour: str, exact: bool) -> None:
    marker = "o" if curve.notna().sum() < FEW and (not exact or curve.notna().sum() < 2) else ""
    style = "steps-post" if exact else "default"
    axes.plot(
        curve.index, curve, drawstyle=style, marker=marker, label=plain(name), color=colour, linewidth=1.4, markersize=3
    )


def _scale(axes: Axes, rates: np.ndarray) -> None:
    """Draw rates of very different sizes on a logarithmic axis."""
    positive = rates[np.isfinite(rates) & (rates > 0)]
    if positive.size and positive.max() > 30 * positive.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(positive.min(), positive.max() * 1e-6) / 1.5)


def _mark_cycles(axes: Axes, run: Run) -> None:
    starts = run.first_steps
    edges = [*starts.values(), max(run.steps, *starts.values())]
    axes.set_xlim(0, max(edges[-1], 1))
    for index, (cycle, start) in enumerate(starts.items()):
        if cycle:
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        if cycle % (1 + len(starts) // 25) == 0 and edges[index + 1] > start:
            middle, name = (start + edges[index + 1]) / 2, str(cycle) if cycle else "dense"
            axes.text(middle, 1.01, name, color=GREY, ha="center", fontsize=9, transform=axes.get_xaxis_transform())
    axes.set_title(f"{plain(run.name)}: learning rate in each cycle", fontsize=10, pad=16)
