"""Render the Markdown inside ``<details>``. GitHub does so by itself, and Python-Markdown has to be told."""

import re
from typing import Any

OPENING = re.compile(r"^<details>(<summary>.*</summary>)?$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Mark the blocks of a page."""
    return with_markdown_inside(markdown)


def with_markdown_inside(markdown: str) -> str:
    """Mark every ``<details>`` that begins a line, so that the extension ``md_in_html`` renders what is inside.

    Args:
        markdown: The text of a page.

    Example:
        >>> print(with_markdown_inside("<details><summary>More</summary>"))
        <details markdown="1"><summary>More</summary>
        >>> print(with_markdown_inside("In a line, `<details>` stays."))
        In a line, `<details>` stays.
    """
    return OPENING.sub(lambda match: f'<details markdown="1">{match[1] or ""}', markdown)
