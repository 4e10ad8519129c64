"""Lead links to files of the repository, such as ``../configs/digits/silo.yaml``, to the pages that show them."""

import posixpath
import re
from typing import Any

from site_paths import ROOT, origin_of, page_of, relative

LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page; MkDocs then tells which of them lead nowhere."""
    return lead_to_pages(markdown, page.file.src_uri)


def lead_to_pages(markdown: str, page: str) -> str:
    """Rewrite the links of a page.

    Args:
        markdown: The text of the page.
        page: The place of the page in the site.

    Example:
        >>> lead_to_pages("[silo](../configs/digits/silo.yaml)", "variants.md")
        '[silo](configs/digits.md#silo)'
        >>> lead_to_pages("[a chapter](structures.md#the-file)", "variants.md")
        '[a chapter](structures.md#the-file)'
    """
    here = posixpath.dirname(origin_of(page))

    def lead(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match[1]))
        target = page_of(path) if (ROOT / path).exists() else None
        return match[0] if target is None else relative(target, page) + (match[2] or "")

    return LINK.sub(lead, markdown)
