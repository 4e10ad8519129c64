"""What claims read beside accuracies: ensembles of soups, and the signs that a cycle changed."""

import json

import pandas as pd
import pytest

from benchmarks.claims.beside import changed_signs
from benchmarks.claims.catalog.controls_questions import of_flips, of_soups
from benchmarks.claims.contrasts import measure
from benchmarks.claims.results import keep, read


def frame(arms: dict[str, float], tried: str | None = None) -> pd.DataFrame:
    """Two seeds and two cycles of arms with these accuracies, whose records lie beside their checkpoints."""
    rows = [
        {"arm": arm, "seed": seed, "cycle": cycle, "test_last": value, "val_last": value, "density": 0.5**cycle}
        for arm, value in arms.items()
        for seed in (0, 1)
        for cycle in (1, 2)
    ]
    said = {
        "version": "1",
        "lightning": "2",
        "torch": "3",
        "hardware": "cpu",
        "error": None,
        "peak_lr": 0.1,
        "node": "n",
    }
    counts = {"epochs": 1, "epochs_shared": 0, "seconds": 1.0, "seconds_shared": 0.0}
    return pd.DataFrame(rows).assign(**said, **counts, tried=tried, checkpoint="../nodes/one/last.ckpt")


def test_changed_signs_come_from_the_record_beside_the_checkpoint(tmp_path):
    (tmp_path / "nodes" / "one").mkdir(parents=True)
    (tmp_path / "study").mkdir()
    record = {"signs": [{"cycle": 2, "signs_from_before": 0.25, "signs_from_initial": 0.5}]}
    (tmp_path / "nodes" / "one" / "pruning.json").write_text(json.dumps(record))
    given = frame(dict.fromkeys(("LR rewinding", "weight rewinding"), 0.5))
    found = changed_signs(given, tmp_path / "study")
    assert found[given["cycle"] == 2].tolist() == [0.25] * 4
    assert found[given["cycle"] == 1].isna().all()
    keep(given, "flips_digits", {}, tmp_path, tmp_path / "study")
    table = read("flips_digits", tmp_path).table
    assert table.loc[table["cycle"] == 2, "signs_from_before"].tolist() == [0.25] * 4
    assert any(one.plus[0].metric == "signs_from_before" for one in of_flips(table))


def test_a_soup_is_compared_with_the_ensemble_of_its_copies(tmp_path):
    arms = dict.fromkeys(("greedy soup", "uniform soup", "best copy", "one copy", "three times the training"), 0.75)
    keep(frame(arms, json.dumps({"soup": {"ensemble_test": 0.5}})), "soups_digits", {}, tmp_path)
    table = read("soups_digits", tmp_path).table
    asked = [one for one in of_soups(table) if "ensemble" in one.row]
    assert [measure(one, table).difference for one in asked] == pytest.approx([0.25, 0.25])
