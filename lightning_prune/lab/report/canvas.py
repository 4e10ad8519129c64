"""What every picture has in common: its size, its colours, its file."""

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_prune.lab.report.report_file import write_report_file

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers. Yellow is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#888888"
# Short, unlike the "#000000" and "white" that the page of a study takes for ink and paper and turns in dark mode.
BLACK, WHITE = "#000", "#fff"
BRIGHT_FROM = 0.179  # luminance at which black and white are read equally well, at a contrast of 4.58
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
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return write_report_file(path, drawn.getvalue())


def plain(text: str) -> str:
    r"""Write a name so that matplotlib draws it as it is: between two dollar signs it would look for a formula.

    What is no character, as in the name of a folder that is not UTF-8, becomes a question mark.

    Example:
        >>> print(plain("$x_{$"))
        \$x_{\$
    """
    return text.replace("$", r"\$").encode("utf-8", errors="replace").decode("utf-8")


def ink_on(red: float, green: float, blue: float) -> str:
    """Choose black or white, whichever is read more easily on a colour.

    The contrast is that of WCAG 2.1, https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio: at least 4.5 on every colour.

    Args:
        red: In [0, 1], as the two next.
        green: The second part of the colour.
        blue: The third.

    Example:
        >>> ink_on(1.0, 0.9, 0.3), ink_on(0.0, 0.1, 0.3)
        ('#000', '#fff')
    """
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return BLACK if 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] > BRIGHT_FROM else WHITE


def percent(value: float, _: object = None) -> str:
    """Write a tick in per cent."""
    return f"{100 * value:.4g} %"
