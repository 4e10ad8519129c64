"""The page of what works together names tests that exist."""

import re
from pathlib import Path

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]


def test_every_test_that_the_page_names_exists_and_every_line_names_one():
    page = (ROOT / "docs" / "reference" / "compatibility.md").read_text()
    written = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 80
    assert not [name for name in named if name not in written]
    rows = [line for line in page.splitlines() if line.startswith("|") and not re.match(r"\|(---|.*\| test \|$)", line)]
    assert not [row for row in rows if "`test_" not in row]
