"""The colours and marks of every picture: told apart by colour-blind readers, and in print."""

from collections.abc import Sequence

import altair as alt

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers. Yellow is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ((1, 0), (5, 3), (2, 2))
GREY = "#888888"
# Short, unlike the "#000000" and "white" that the page of a study takes for ink and paper and turns in dark mode.
BLACK, WHITE = "#000", "#fff"
BRIGHT_FROM = 0.179  # luminance at which black and white are read equally well, at a contrast of 4.58


def colour_of(field: str, names: Sequence[str]) -> alt.Color:
    """Give every curve its colour, the same on all pictures.

    Args:
        field: The column that holds the names.
        names: All of them, in order; they also order the legend.

    Example:
        >>> colour_of("arm", ["a", "b"]).to_dict()["scale"]
        {'domain': ['a', 'b'], 'range': ['#0072B2', '#D55E00']}
    """
    return alt.Color(f"{field}:N", scale=_in_turn(names, COLOURS), legend=_legend())


def shape_of(field: str, names: Sequence[str]) -> alt.Shape:
    """Give every curve its mark, so that colour is not all that tells them apart."""
    return alt.Shape(f"{field}:N", scale=_in_turn(names, SHAPES), legend=_legend())


def dash_of(field: str, names: Sequence[str]) -> alt.StrokeDash:
    """Dash the lines of curves beyond the number of colours."""
    dashes = [list(DASHES[index // len(COLOURS) % len(DASHES)]) for index in range(len(names))]
    return alt.StrokeDash(f"{field}:N", scale=alt.Scale(domain=list(names), range=dashes), legend=None)


def _in_turn(names: Sequence[str], values: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[values[index % len(values)] for index in range(len(names))])


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", columns=4, labelLimit=200, symbolOpacity=1, symbolStrokeWidth=0)


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
