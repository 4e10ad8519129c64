"""`make claims` from configs to the page: what it trains, what it keeps, what it says, and what it leaves alone."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tiny_studies import PAGE, REPLAYED, REWINDING, TUNED, cells, run, section, write_study

from lightning_prune.ablation.results.comparison import compare, summary

KEPT = Path("docs", "claims", "cpu")
TICKETS = {"rewound to 0 %": REPLAYED, "drawn anew": TUNED}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder in which claim 1 was measured with two seeds."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_study("rewinding_digits", REWINDING, seeds=2)
        run("--claim", "1")
    return folder


@pytest.fixture
def copied(measured, tmp_path, monkeypatch):
    """The same without what was trained, as a clone of the repository has it."""
    for part in ("configs", "docs"):
        shutil.copytree(measured / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(cell: str) -> list[float]:
    return [float(one) for one in re.findall(r"[-+]?\d+\.\d+", cell)]


def study(measured) -> pd.DataFrame:
    return pd.read_parquet(measured / "runs/claims/cpu/rewinding_digits/table.parquet")


def test_the_differences_on_the_page_are_those_of_the_study(measured):
    said, table = section((measured / PAGE).read_text(), 1), study(measured)
    row = cells(said, "LR rewinding over fine-tuning")
    for cell, how, cycle in zip(row, ("one-shot", "iterative"), (1, 2), strict=False):
        found = compare(table, f"LR rewinding, {how}", f"fine-tuning, {how}", cycle=cycle).iloc[0]
        points = [100 * found[name] for name in ("difference", "low", "high")]
        assert numbers(cell) == pytest.approx(points, abs=0.006)
    once, often, more = (numbers(cell)[0] for cell in row)
    assert more == pytest.approx(often - once, abs=0.02)


def test_the_means_on_the_page_are_those_of_the_study(measured):
    said, means = section((measured / PAGE).read_text(), 1), summary(study(measured))
    for arm in REWINDING:
        # An arm of several cycles has several rows; the last one ends with the fewest weights.
        rows = [line for line in said.splitlines() if line.startswith(f"| {arm} |")]
        for line, (_, found) in zip(rows, means[(means["arm"] == arm) & (means["cycle"] > 0)].iterrows(), strict=True):
            left, seeds, mean, interval, epochs, _ = (cell.strip() for cell in line.strip("| ").split("|")[1:])
            assert left == f"{100 * found['density']:.3g} %"
            assert (seeds, epochs) == ("2", "1")
            assert numbers(mean) == pytest.approx([100 * found["mean"]], abs=0.006)
            assert numbers(interval) == pytest.approx([100 * found["low"], 100 * found["high"]], abs=0.006)
    dense = means[means["cycle"] == 0].iloc[0]
    assert numbers(cells(said, "dense")[2]) == pytest.approx([100 * dense["mean"]], abs=0.006)


def test_all_that_the_page_names_is_there(measured):
    page = (measured / PAGE).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", page)
    assert {Path(link).suffix for link in links} == {".svg", ".yaml", ".csv"}
    for link in links:
        assert (measured / "docs" / link).stat().st_size > 0, link
    assert "<svg" in (measured / "docs/images/claims/cpu-claim1.svg").read_text()[:200]
    facts = json.loads((measured / KEPT / "rewinding_digits.json").read_text())
    assert (facts["seeds"], facts["errors"], facts["data"]) == ([0, 1], [], "scikit-learn's digits")
    assert facts["versions"]["torch"] in page


def test_run_again_nothing_is_trained_and_the_page_is_the_same(measured, monkeypatch):
    monkeypatch.chdir(measured)
    page, store = PAGE.read_text(), Path("runs/claims/cpu/store/nodes")
    trained = {path: path.stat().st_mtime_ns for path in store.glob("*/*")}
    assert len([path for path in trained if path.name == "result.json"]) == 2 * (1 + 2 * 2), "a cycle was trained twice"
    assert run("--claim", "1") == page
    assert {path: path.stat().st_mtime_ns for path in store.glob("*/*")} == trained


def test_the_page_is_written_from_what_was_kept_alone(copied):
    page = PAGE.read_text()
    PAGE.unlink()
    shutil.rmtree("docs/images")
    assert run("--write") == page
    assert Path("docs/images/claims/cpu-claim1.svg").stat().st_size > 0
    assert not Path("runs").exists()


def test_another_claim_leaves_what_was_said_of_the_first(copied, capsys):
    before = PAGE.read_text()
    write_study("tickets_digits", TICKETS, seeds=1, grid={"sparsity.final": [0.8]})
    page = run("--claim", "5")
    assert section(page, 1) == section(before, 1).rstrip("\n") + "\n"
    assert {path.stem for path in Path("runs/claims/cpu").glob("*_*")} == {"tickets_digits"}
    (cell,) = cells(section(page, 5), "rewound to 0 % over drawn anew")
    assert cell.endswith("(1 seed)"), "one seed has no interval, and decides nothing"
    said = capsys.readouterr().out
    assert "5. Tickets against fresh weights: not significant at this size" in said
    assert "1. Rewinding" not in said.partition("Written")[2]
