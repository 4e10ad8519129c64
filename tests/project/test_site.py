"""The site: its folders can be read at a glance, and its hooks do what their examples say."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest
import site_markup

import lightning_prune
from lightning_prune import ablation, criteria, lab
from lightning_prune.ablation import plots

ROOT = Path(lightning_prune.__file__).parents[1]
HOOKS = sorted(path.stem for path in (ROOT / "website").glob("*.py"))


@pytest.mark.parametrize("name", HOOKS)
def test_the_examples_of_a_hook_are_true(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "website")
    module = importlib.import_module(name)
    try:
        assert doctest.testmod(module).failed == 0
    finally:
        for hook in HOOKS:
            sys.modules.pop(hook, None)


def test_the_check_for_markup_that_is_not_rendered_finds_it():
    assert doctest.testmod(site_markup).failed == 0


def test_no_page_has_a_diagram_that_needs_a_script():
    """The site is read without network, where the script of mermaid is missing."""
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb"), *ROOT.glob("*.md")]
    assert [page for page in pages if "```mermaid" in page.read_text()] == []


def test_a_folder_of_pages_is_read_at_a_glance():
    for folder in {path.parent for path in (ROOT / "docs").rglob("*.md")}:
        assert len(list(folder.iterdir())) <= 16, folder


def test_every_public_name_has_an_entry_in_the_reference():
    pages = "\n".join(path.read_text() for path in (ROOT / "docs" / "reference" / "api").glob("*.md"))
    entries = re.findall(r"^::: lightning_prune\.([\w.]+)$", pages, flags=re.MULTILINE)
    assert len(entries) == len(set(entries)), "one entry for each name"
    wanted = {
        *lightning_prune.__all__,
        *(f"criteria.{name}" for name in public_names_of(criteria)),
        *(
            f"{part.__name__.removeprefix('lightning_prune.')}.{name}"
            for part in (ablation, lab, plots)
            for name in part.__all__
        ),
    }
    twice = {"magnitude", "random"}  # they stand with the other criteria
    assert wanted - set(entries) - twice == set()
    assert [name for name in entries if looked_up(name) is None] == []


def public_names_of(module):
    """The members, its own helpers for the package left out."""
    helpers = {"Criterion", "Scorer", "is_elementwise", "needs_of", "scores_entries", "scores_units"}
    names = {name for name, one in vars(module).items() if getattr(one, "__module__", "").startswith(module.__name__)}
    return {name for name in names if not name.startswith("_")} - helpers


def looked_up(name):
    found = lightning_prune
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def test_the_build_is_strict():
    """With ``--quiet`` MkDocs counts no warnings, and a broken link would be no error."""
    (build,) = re.findall(r"mkdocs build.*", (ROOT / "Makefile").read_text())
    assert build == "mkdocs build --strict"
