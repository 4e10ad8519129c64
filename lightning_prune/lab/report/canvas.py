"""Define the common parts of all pictures: their size, their colors, and their files."""

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_prune.lab.report.report_file import write_report_file

# Okabe and Ito, "Color universal design", 2008. Color-blind readers can tell these colors apart. Their yellow is left
# out, because it is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#888888"
# Short forms. In dark mode, the page of a study replaces its ink and paper, which are the texts "#000000" and "white".
BLACK, WHITE = "#000", "#fff"
BRIGHT_FROM = 0.179  # At this luminance, black and white both have a contrast of 4.58.
DOTS_PER_INCH = 150


def canvas(width: float = 7.5, height: float = 4.5, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Open a figure with panels below each other."""
    figure = Figure(figsize=(width, height * panels), dpi=DOTS_PER_INCH, layout="constrained")
    every = [figure.add_subplot(panels, 1, 1 + index) for index in range(panels)]
    for axes in every:
        axes.grid(visible=True, color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, every


def save(figure: Figure, path: Path) -> Path:
    """Write a picture, and make its folders."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return write_report_file(path, drawn.getvalue())


def plain(text: str) -> str:
    r"""Write a name so that matplotlib draws it unchanged. It would read text between two dollar signs as a formula.

    Bytes that are no characters, as in the name of a folder that is not UTF-8, become question marks.

    Example:
        >>> print(plain("$x_{$"))
        \$x_{\$
    """
    return text.replace("$", r"\$").encode("utf-8", errors="replace").decode("utf-8")


def ink_on(red: float, green: float, blue: float) -> str:
    """Choose black or white, whichever is easier to read on a color.

    The contrast is at least 4.5 on every color, as defined in WCAG 2.1,
    https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.

    Args:
        red: The red part of the color, in [0, 1].
        green: The green part, in [0, 1].
        blue: The blue part, in [0, 1].

    Example:
        >>> ink_on(1.0, 0.9, 0.3), ink_on(0.0, 0.1, 0.3)
        ('#000', '#fff')
    """
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return BLACK if 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] > BRIGHT_FROM else WHITE


def percent(value: float, _: object = None) -> str:
    """Write a tick in percent."""
    return f"{100 * value:.4g} %"
