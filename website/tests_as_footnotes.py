"""Show the column of tests of a table as footnotes, so that there is room for what a reader came for.

The source keeps the column: whoever adds a row writes the name of its test beside it, and a test checks that it exists.
"""

import re
from typing import Any

HEADER = re.compile(r"^(\|.*)\| tests? \|$")
NAME = re.compile(r"`(test_\w+)`")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite the tables of a page."""
    return with_footnotes(markdown)


def with_footnotes(markdown: str) -> str:
    r"""Move the last column of every table whose last column is called "test" into footnotes.

    Args:
        markdown: The text of a page.

    Example:
        >>> print(with_footnotes("| with | result | test |\n|---|---|---|\n| SAM | exactly | `test_sam`, `test_b` |"))
        | with | result |
        |---|---|
        | SAM | exactly[^test_sam][^test_b] |
        <BLANKLINE>
        [^test_sam]: `test_sam`
        [^test_b]: `test_b`
    """
    lines, names, inside = [], [], False
    for line in markdown.splitlines():
        inside = line.startswith("|") and (inside or HEADER.match(line) is not None)
        if inside:
            left, _, last = line.rstrip("| ").rpartition("|")
            names += (found := NAME.findall(last))
            end = "|" if last == "---" else " |"
            line = left.rstrip() + "".join(f"[^{name}]" for name in found) + end
        lines.append(line)
    notes = [f"[^{name}]: `{name}`" for name in dict.fromkeys(names)]
    return "\n".join([*lines, "", *notes]) if notes else markdown
