"""An arm that fails is said, on the terminal and on the page, and no earlier cycle of it stands for its last one."""

import json
from pathlib import Path

import pandas as pd
import pytest
from study_files import STUDIES, as_if_trained, read
from tiny_studies import REPLAYED, REWINDING, TUNED, cells, run, section, write_study

from benchmarks.claims import results
from benchmarks.claims.__main__ import all_outcomes
from benchmarks.claims.catalog import CLAIMS
from benchmarks.claims.page import outcome_of, picture_path, write_page

FACTS = {"data": "digits", "config": "configs/claims/cpu/rewinding_digits.yaml", "size": "cpu", "workers": 2}
MISTAKE = "Breaking: a mistake of their own"
FAILED = "LR rewinding, iterative"


def breaking(epoch: int) -> dict:
    return {"class_path": "breaking.Breaking", "init_args": {"epoch": epoch}}


def trained(name: str) -> pd.DataFrame:
    """The frame of a study that succeeded, with all that is kept of it."""
    frame = as_if_trained(read(name, "cpu"))
    tried = json.dumps({"argument": "max_lr", "values": [0.03, 0.1], "scores": [0.8, 0.9], "chosen": 0.1})
    searched = (frame["arm"] == "Oracle") & (frame["cycle"] > 0)
    frame["tried"] = pd.Series(tried, frame.index, dtype=object).where(searched, None)
    said = {"version": "1", "lightning": "2", "torch": "3", "hardware": "cpu", "error": None, "val_last": 0.5}
    return frame.assign(**said, epochs_shared=0, seconds=1.0, seconds_shared=0.0, peak_lr=0.05, node="none")


def failing(frame: pd.DataFrame, arm: str, seed: int, from_cycle: int) -> pd.DataFrame:
    """The same with an arm that failed before the end of a cycle: later rows are missing, one has the error."""
    own = (frame["arm"] == arm) & (frame["seed"] == seed)
    error = pd.DataFrame([{"arm": arm, "seed": seed, "error": MISTAKE}])
    frame = pd.concat(
        [frame[~(own & (frame["cycle"] >= from_cycle))].astype({"error": object}), error], ignore_index=True
    )
    return frame.astype({"cycle": "Int64", "error": object})


@pytest.mark.usefixtures("in_the_repository")
def test_an_arm_that_failed_late_is_compared_with_nothing(tmp_path):
    frame = trained("rewinding_digits")
    for seed in frame["seed"].unique():
        frame = failing(frame, FAILED, seed, from_cycle=10)
    results.keep(frame, "rewinding_digits", FACTS, tmp_path / "claims" / "cpu")
    write_page(tmp_path / "claims.md", all_outcomes(tmp_path / "claims.md"))
    said = section((tmp_path / "claims.md").read_text(), 1)
    assert "| weight rewinding, iterative |" in said
    assert FAILED not in said
    once, often, more = cells(said, "LR rewinding over fine-tuning")
    assert (bool(once), often, more) == (True, "", "")
    assert f"*An arm failed: {MISTAKE}*" in said


@pytest.mark.usefixtures("in_the_repository")
def test_a_seed_that_failed_is_one_seed_less(tmp_path):
    results.keep(failing(trained("rewinding_digits"), FAILED, 3, from_cycle=10), "rewinding_digits", FACTS, tmp_path)
    kept = results.read("rewinding_digits", tmp_path)
    (found,) = outcome_of(CLAIMS[0], "cpu", [kept]).findings
    seeds = {finding.contrast: finding.seeds for finding in found}
    assert all(number == (9 if FAILED in str(contrast) else 10) for contrast, number in seeds.items())
    assert set(seeds.values()) == {9, 10}
    assert set(kept.table.loc[kept.table["arm"] == FAILED, "seed"]) == set(range(10)) - {3}


@pytest.mark.usefixtures("in_the_repository")
@pytest.mark.parametrize(
    ("number", "name", "arm"),
    [
        (1, "rewinding_digits", "fine-tuning, one-shot"),
        (2, "budgets_digits", "fine-tuning"),
        (3, "random_digits", "magnitude, fine-tuning"),
        (4, "silo_digits", "SILO"),
        (4, "silo_digits", "Oracle"),
        (5, "tickets_digits", "drawn anew"),
        (6, "restarts_wide", "full restart"),
        (8, "scratch_digits", "fine-tuning"),
    ],
)
def test_a_claim_is_told_also_without_one_of_its_arms(number, name, arm, tmp_path):
    frame = trained(name)
    results.keep(frame[~frame["arm"].str.startswith(arm)], name, FACTS, tmp_path / "claims" / "cpu")
    outcomes = all_outcomes(tmp_path / "claims.md")
    write_page(tmp_path / "claims.md", outcomes)
    (one,) = [one for one in outcomes if one.claim.number == number]
    assert not [found for found in one.all_findings if arm in found.contrast.row]
    assert section((tmp_path / "claims.md").read_text(), number)
    assert ("cpu", name) in STUDIES
    assert picture_path(tmp_path / "claims.md", one).stat().st_size > 0


@pytest.mark.slow
def test_a_failed_arm_is_reported_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    late = {FAILED: {**REWINDING[FAILED], "callbacks": [REPLAYED["callbacks"], breaking(3)]}}
    write_study("rewinding_digits", {**REWINDING, **late}, seeds=1)
    said = section(run("--claim", "1"), 1)
    assert f"rewinding_digits: {FAILED} failed: " in capsys.readouterr().out
    assert len(cells(said, "LR rewinding over fine-tuning")) == 1
    assert f"| {FAILED} |" not in said
    assert "a mistake of their own" in said
    facts = json.loads(Path("docs/claims/cpu/rewinding_digits.json").read_text())
    assert ["a mistake of their own" in error for error in facts["errors"]] == [True]


def test_where_every_arm_fails_there_is_no_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_study("tickets_digits", {"drawn anew": {"callbacks": [TUNED["callbacks"], breaking(0)]}}, seeds=1)
    with pytest.raises(SystemExit, match="Nothing was measured"):
        run("--claim", "5")
    said = capsys.readouterr().out
    assert "tickets_digits: drawn anew failed: " in said
    assert "a mistake of their own" in said
    assert not Path("docs").exists()
