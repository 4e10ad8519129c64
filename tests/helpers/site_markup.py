"""What a page of the site shows of the source of its markup: tables, code and diagrams that were not rendered."""

import re
from html.parser import HTMLParser

NOT_PROSE = {"code", "pre", "script", "style", "math"}
ROW_OF_A_TABLE = re.compile(r"^\s*\|.*\|\s*$")
MERMAID = re.compile(r"\s*(flowchart|graph|sequenceDiagram|classDiagram|stateDiagram|gantt|pie)\b.*\n")


class Parts(HTMLParser):
    """Collects the text of a page that is no code, and the pieces of code."""

    def __init__(self) -> None:
        super().__init__()
        self.prose, self.code = "", [""]
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in NOT_PROSE and not self._depth:
            self.code.append("")
        self._depth += tag in NOT_PROSE

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag in NOT_PROSE

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.code[-1] += data
        else:
            self.prose += data


def raw_markup(html: str) -> list[str]:
    r"""The lines of a page that a reader sees as source.

    Args:
        html: The page.

    Example:
        >>> raw_markup("<details><summary>More</summary>\n| a | b |\nCommand: `make`\n</details>")
        ['| a | b |', 'Command: `make`']
        >>> raw_markup("<p>Command: <code>a `b` | c |</code></p>")
        []
        >>> raw_markup("<pre><code>flowchart LR\n  a --> b</code></pre>")
        ['flowchart LR']
    """
    page = Parts()
    page.feed(html)
    lines = [line.strip() for line in page.prose.splitlines() if ROW_OF_A_TABLE.match(line) or "`" in line]
    return lines + [found[0].strip() for code in page.code if (found := MERMAID.match(code))]
