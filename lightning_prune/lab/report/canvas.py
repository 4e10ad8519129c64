"""What every picture has in common: its size, its colours, its file."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers. Yellow is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#888888"
DOTS_PER_INCH = 150


def canvas(width: float = 7.5, height: float = 4.5, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Open a figure of panels below each other."""
    figure = Figure(figsize=(width, height * panels), dpi=DOTS_PER_INCH, layout="constrained")
    every = [figure.add_subplot(panels, 1, 1 + index) for index in range(panels)]
    for axes in every:
        axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, every


def save(figure: Figure, path: Path) -> Path:
    """Write a picture and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def percent(value: float, _: object = None) -> str:
    """Write a tick in per cent."""
    return f"{100 * value:.4g} %"
