"""Define the colors and marks of all pictures. Color-blind readers can tell them apart, also in print."""

from collections.abc import Sequence

import altair as alt

# Okabe and Ito, "Color universal design", 2008. Color-blind readers can tell these colors apart. Their yellow is left
# out, because it is too pale for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ((1, 0), (5, 3), (2, 2))
GREY = "#888888"
# Short forms. In dark mode, the page of a study replaces its ink and paper, which are the texts "#000000" and "white".
BLACK, WHITE = "#000", "#fff"
BRIGHT_FROM = 0.179  # At this luminance, black and white both have a contrast of 4.58.


def color_of(field: str, names: Sequence[str]) -> alt.Color:
    """Give every curve its color, the same on all pictures.

    Args:
        field: The column that holds the names.
        names: All names, in the order of the legend.

    Example:
        >>> color_of("arm", ["a", "b"]).to_dict()["scale"]
        {'domain': ['a', 'b'], 'range': ['#0072B2', '#D55E00']}
    """
    return alt.Color(f"{field}:N", scale=_in_turn(names, COLORS), legend=_legend())


def shape_of(field: str, names: Sequence[str]) -> alt.Shape:
    """Give every curve its mark, so that curves can be told apart without color."""
    return alt.Shape(f"{field}:N", scale=_in_turn(names, SHAPES), legend=_legend())


def dash_of(field: str, names: Sequence[str]) -> alt.StrokeDash:
    """Dash the lines of curves beyond the number of colors."""
    dashes = [list(DASHES[index // len(COLORS) % len(DASHES)]) for index in range(len(names))]
    return alt.StrokeDash(f"{field}:N", scale=alt.Scale(domain=list(names), range=dashes), legend=None)


def _in_turn(names: Sequence[str], values: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[values[index % len(values)] for index in range(len(names))])


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", columns=4, labelLimit=200, symbolOpacity=1, symbolStrokeWidth=0)


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
