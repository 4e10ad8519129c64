"""Soups beside their best copies and ensembles: means over seeds, in a table and on the page."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lightning_prune.ablation.report.page import _search, _soups
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.soup_table import COLUMNS, soups


def table():
    rows = []
    for seed, (best, ensemble) in enumerate([(0.7, 0.8), (0.8, 0.9)]):
        told = {
            "mixed": [1, 0, 2][: seed + 2],
            "best": 0.9,
            "best_test": best,
            "ensemble": 0.95,
            "ensemble_test": ensemble,
        }
        values = {"seed": seed, "cycle": 1, "density": 0.5, "val_last": 0.9, "test_last": 0.75 + seed / 10}
        rows.append({"arm": "soup", **values, "tried": json.dumps({"values": [1, 2, 3], "scores": [], "soup": told})})
        rows.append({"arm": "search", **values, "tried": json.dumps({"values": [1], "scores": [0.5]})})
        rows.append({"arm": "one", **values, "tried": None})
    return pd.DataFrame(rows)


def test_means_over_seeds_of_soups_only():
    (row,) = soups(table()).to_dict("records")
    assert row["arm"] == "soup"
    assert (row["seeds"], row["members"]) == (2, 2.5)
    assert [row[name] for name in ("soup", "best_copy", "ensemble")] == pytest.approx([0.8, 0.75, 0.85])
    (row,) = soups(table(), "val_last").to_dict("records")
    assert [row[name] for name in ("soup", "best_copy", "ensemble")] == pytest.approx([0.9, 0.9, 0.95])


def test_a_study_without_soups_has_none():
    found = soups(table()[lambda frame: frame["arm"] != "soup"])
    assert found.empty
    assert tuple(found.columns) == COLUMNS


def test_the_page_has_them_and_an_arm_says_what_its_copies_differ_in():
    facts = {"metric": "val/accuracy", "test_metric": "test/accuracy", "arms": []}
    study = Study(Path(), facts, table())
    assert _soups(study) == [["soup", "50.0 %", "2.5", "80.0 %", "75.0 %", "85.0 %"]]
    arm = {"search": {"argument": "order", "values": [1, 2]}, "soup": {"greedy": True}}
    assert _search(arm) == "a greedy soup of copies over order: 1, 2"
    assert _search({"search": arm["search"]}) == "a search over order: 1, 2"
