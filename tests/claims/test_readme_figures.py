"""What the README says was measured stands in docs/claims.md, to the last digit."""

import re
from pathlib import Path

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EVIDENCE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def section() -> str:
    found = re.search(r"^## What came out\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_every_difference_in_the_readme_was_measured() -> None:
    figures = re.findall(r"\b\d+\.\d\d\b", section())
    assert len(figures) >= 6
    assert [one for one in figures if f"+{one} [" not in EVIDENCE and f"-{one} [" not in EVIDENCE] == []


def test_the_readme_has_three_findings_and_the_picture_of_the_first_claim() -> None:
    assert len(re.findall(r"^- \*\*", section(), re.MULTILINE)) == 3
    picture = re.search(r"!\[[^]]+\]\((docs/images/claims/cpu-claim1\.svg)\)", section())
    assert picture is not None
    assert (ROOT / picture[1]).stat().st_size > 1000
