"""docs/claims.md is what `--write` makes of docs/claims, and what is kept there is of the studies as they are."""

import json
import re
from pathlib import Path

import pytest
from study_files import ROOT, SIZES, read

from benchmarks.claims import __main__ as program
from benchmarks.claims import page as page_module
from benchmarks.claims import results

pytestmark = pytest.mark.usefixtures("in_the_repository")
DOCS = ROOT / "docs"
KEPT = sorted((path.parent.name, path.stem) for path in (DOCS / "claims").glob("*/*.json"))


@pytest.fixture
def page() -> str:
    return (DOCS / "claims.md").read_text(encoding="utf-8")


def test_the_page_is_what_comes_out_of_what_was_kept(page, tmp_path, monkeypatch):
    (tmp_path / "claims").symlink_to(DOCS / "claims")
    monkeypatch.setattr(page_module, "write", lambda chart, path: chart.to_dict())  # letters differ between versions
    program.main(program.parse(["--write", "--page", str(tmp_path / "claims.md")]))
    assert (tmp_path / "claims.md").read_text(encoding="utf-8") == page, "run `python -m benchmarks.claims --write`"


def test_every_file_that_the_page_names_is_there(page):
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", page) if not link.startswith("http")]
    pictures = [link for link in links if link.endswith(".svg")]
    for link in links:
        assert (DOCS / link).stat().st_size > 0, link
    for link in pictures:
        assert (DOCS / link).read_text().startswith("<svg"), link
    assert {Path(link).name for link in pictures} == {path.name for path in DOCS.glob("images/claims/*.svg")}


def test_every_anchor_of_the_overview_is_a_heading(page):
    # As GitHub makes them: small letters, spaces to dashes, without what is neither letter, digit, dash nor underscore.
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) >= 8
    assert re.findall(r"\]\(#([^)]+)\)", page) == anchors


def test_every_claim_was_measured_with_every_network(page):
    assert "not run yet" not in page
    named = {f"configs/claims/cpu/{name}.yaml" for claim in program.CLAIMS for name in program.studies_of(claim, "cpu")}
    assert not [config for config in named if f"(../{config})" not in page]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_kept_is_of_the_arms_and_seeds_of_the_configs(size):
    for name in [name for one, name in KEPT if one == size]:
        study, kept = read(name, size), results.read(name, DOCS / "claims" / size)
        assert kept.arms == [arm.name for arm in study.arms], f"{name}: the config was changed; train it again"
        assert kept.facts["seeds"] == list(study.seeds), name
        assert not kept.facts["errors"], name
        assert kept.facts["config"] == f"configs/claims/{size}/{name}.yaml"
        tested = kept.table.groupby(["arm", "seed"])[
            "test_last"
        ].last()  # arms that go by steps are tested at their end
        assert tested.between(0, 1).all(), name
        assert kept.table["test_last"].dropna().between(0, 1).all(), name


def test_what_is_kept_names_no_folder_of_the_machine_that_trained_it():
    for size, name in KEPT:
        text = (DOCS / "claims" / size / f"{name}.json").read_text()
        assert not re.search(r'"/|\\\\|[ (]/\w+/', text), name
        assert json.loads(text)["hardware"], name
