"""Let the search find a class by the words of its name: "restart" finds LinearRestart, and so does "linearrestart".

The search takes the name of a class as one word. So its words are added to its entry in the reference, where nobody
sees them.
"""

import re
from typing import Any

HEADING = re.compile(r'<h3 id="lightning_prune\.(?:\w+\.)*(?P<name>[A-Z]\w*)".*?</h3>', re.DOTALL)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|\d+|[a-z]+")


def on_page_content(content: str, **_: Any) -> str:
    """Add the words to the entries of a page."""
    return with_words(content)


def with_words(content: str) -> str:
    """Add a hidden paragraph with the words of its name to the entry of every class whose name has several.

    Args:
        content: HTML with headings as ``mkdocstrings`` writes them.

    Example:
        >>> with_words('<h3 id="lightning_prune.LRRewind" class="doc">LRRewind</h3>')
        '<h3 id="lightning_prune.LRRewind" class="doc">LRRewind</h3><p hidden>LR Rewind</p>'
        >>> with_words('<h3 id="lightning_prune.NofM">NofM</h3>')
        '<h3 id="lightning_prune.NofM">NofM</h3>'
        >>> with_words('<h3 id="lightning_prune.Shrink">Shrink</h3>')
        '<h3 id="lightning_prune.Shrink">Shrink</h3>'
    """

    def with_its_words(heading: re.Match[str]) -> str:
        words = WORD.findall(heading["name"])
        several = len(words) > 1 and all(len(word) > 1 for word in words)
        return heading[0] + f"<p hidden>{' '.join(words)}</p>" * several

    return HEADING.sub(with_its_words, content)
