"""Write formulas as MathML, which browsers draw without a script and without network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

BARS = {r"\lvert": r"\left|", r"\rvert": r"\right|", r"\lVert": r"\left\|", r"\rVert": r"\right\|"}  # have their spaces
FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas of a page."""
    return with_mathml(content)


def with_mathml(content: str) -> str:
    r"""Replace formulas in TeX by MathML.

    Args:
        content: HTML with formulas as ``pymdownx.arithmatex`` marks them: a ``span`` in a line, a ``div`` of its own.

    Raises:
        ValueError: If a formula has a command that cannot be written as MathML.

    Example:
        >>> with_mathml('<span class="arithmatex">\\(w\\)</span>')
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>w</mi></mrow></math>'
    """

    def formula(match: re.Match[str]) -> str:
        tex = html.unescape(match[2]).strip().removeprefix(r"\[").removesuffix(r"\]")
        tex = tex.removeprefix(r"\(").removesuffix(r"\)").strip()
        for name, bar in BARS.items():
            tex = tex.replace(name, bar)
        found = convert(tex, display="block" if match[1] == "div" else "inline")
        if "\\" in found:
            raise ValueError(f"latex2mathml does not know a command in {tex!r}: {found}. Write the formula without it.")
        return found

    return FORMULA.sub(formula, content)
