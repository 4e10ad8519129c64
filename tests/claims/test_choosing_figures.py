"""Every figure of docs/start/choosing.md stands in the section of docs/claims.md that its row or paragraph links to."""

import re
from pathlib import Path

import pytest

import lightning_prune

DOCS = Path(lightning_prune.__file__).parents[1] / "docs"
PAGE = (DOCS / "start" / "choosing.md").read_text(encoding="utf-8")
CLAIMS = (DOCS / "claims.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"\*\*([+-]\d+\.\d\d)\*\*|(?<![\w*.])([+-]\d+\.\d\d)(?![\w*])")


def section(anchor: str) -> str:
    """A section of the claims, by the anchor of its heading."""
    sections = re.split(r"^## ", CLAIMS, flags=re.MULTILINE)[1:]
    (found,) = [
        one for one in sections if re.sub(r"[^\w -]", "", one.split("\n")[0].lower()).replace(" ", "-") == anchor
    ]
    return found


def measured() -> list[tuple[str, str, bool]]:
    """Each figure with the anchor of the next link to the claims behind it, and whether it is bold, thus significant."""
    parts = re.split(r"\.\./claims\.md#([\w-]+)", PAGE)
    return [
        (anchor, bold or plain, bool(bold))
        for text, anchor in zip(parts[::2], parts[1::2], strict=False)
        for bold, plain in FIGURE.findall(text)
    ]


def test_the_page_has_many_figures() -> None:
    assert len(measured()) >= 30
    assert FIGURE.search(re.split(r"\.\./claims\.md#", PAGE)[-1]) is None, "a figure without a link behind it"


@pytest.mark.parametrize(("anchor", "figure", "significant"), measured())
def test_a_figure_was_measured_and_is_as_significant_as_it_says(anchor: str, figure: str, significant: bool) -> None:
    found = re.findall(rf"(\**){re.escape(figure)} \[[^\]]*\]", section(anchor))
    assert found, f"{figure} is not among the figures of {anchor}"
    assert any((len(stars) >= 2) == significant for stars in found)


def test_what_is_gained_in_time_and_bytes_stands_where_it_says() -> None:
    performance = (DOCS / "reference" / "performance.md").read_text(encoding="utf-8")
    (faster,) = re.findall(r"^\| ResNet-18 \| [\d.]+ x fewer \| ([\d.]+) x faster \|", performance, flags=re.MULTILINE)
    assert f"[{faster} times as fast](../reference/performance.md#structures)" in PAGE
    zeros = (DOCS / "deployment" / "zeros.md").read_text(encoding="utf-8")
    (zero_90,) = re.findall(r"^\| dense file / sparse file (?:\| [\d.]+ ){2}\| ([\d.]+) \|", zeros, flags=re.MULTILINE)
    assert f"[{zero_90} times smaller](../deployment/zeros.md#a-file-without-zeros) with 90 % zeros" in PAGE
