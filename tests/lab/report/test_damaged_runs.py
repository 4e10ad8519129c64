"""Whatever is in the files of a run, `report` draws it or says in a sentence what is wrong with which file."""

import json
from pathlib import Path

import pandas as pd
import pytest
from synthetic import write_run

from lightning_prune import UserError
from lightning_prune.ablation.report.runs_report import report_runs


@pytest.fixture
def run(tmp_path: Path, undrawn: None) -> Path:
    return write_run(tmp_path / "run", cycles=2, dense=2, retrain=1)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError, match=r"\S") as caught:
        report_runs([folder])
    return str(caught.value)


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("cycles", 0, "cycle"), "x", "cycles.cycle is 'x'"),
        (("cycles", 0, "cycle"), [], "cycles.cycle is '[]'"),
        (("cycles", 1, "first_step"), float("inf"), "cycles.first_step is 'inf'"),
        (("cycles", 0, "first_step"), -1, "cycles.first_step is '-1'"),
        (("cycles", 0, "alive"), 0, "cycles.alive is '0'"),
        (("cycles", 0, "alive", "network.fc2.weight"), {"a": 1}, "cycles.alive.network.fc2.weight is"),
        (("pruned", 0, "weights"), "many", "pruned.weights is 'many'"),
        (("pruned", 0, "name"), [1], "pruned.name is '[1]'"),
        (("skipped", 0, "reason"), {}, "skipped.reason is '{}'"),
        (("model_weights",), {}, "model_weights is '{}'"),
        (("settings", "cycles"), None, "settings.cycles is 'None'"),
    ],
)
def test_a_record_of_other_types_is_refused(run, where, value, said):
    record = json.loads((run / "pruning.json").read_text())
    part = record
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    (run / "pruning.json").write_text(json.dumps(record))
    found = refusal(run)
    assert said in found
    assert "pruning.json is damaged" in found
    assert "Delete the file" in found


def test_a_record_that_is_nested_without_end_is_refused(run):
    (run / "pruning.json").write_text("[" * 100_000)
    assert "pruning.json is damaged" in refusal(run)


@pytest.mark.parametrize(
    ("file", "column", "value", "said"),
    [
        ("metrics.csv", "step", 1e300, "column step holds 1e+300, not a whole number"),
        ("metrics.csv", "step", float("inf"), "column step holds inf, not a whole number"),
        ("metrics.csv", "step", "9" * 25, "9999999, not a whole number"),
        ("metrics.csv", "step", None, "no row has a step"),
        ("metrics.csv", "epoch", 2.5, "column epoch holds 2.5, not a whole number"),
        ("metrics.csv", "pruning/density", float("-inf"), "column pruning/density holds -inf, not a number"),
        ("metrics.csv", "val/accuracy", "good", "column val/accuracy holds 'good', not a number"),
        ("rates.csv", "step", 1e300, "column step holds 1e+300, not a whole number"),
    ],
)
def test_a_column_of_no_numbers_is_refused(run, file, column, value, said):
    pd.DataFrame({"step": [0, 44], "lr-SGD": [0.1, 0.01]}).to_csv(run / "rates.csv", index=False)
    table = pd.read_csv(run / file).astype({column: object})
    table[column] = value
    table.to_csv(run / file, index=False)
    assert said in (found := refusal(run))
    assert str(run / file) in found


def test_what_is_odd_but_can_be_drawn_is_drawn(run):
    pd.DataFrame({"step": [0, 44], "lr-SGD": [0.1, float("inf")]}).to_csv(run / "rates.csv", index=False)
    pd.DataFrame({"step": [None], "test/accuracy": [0.9]}).to_csv(run / "test.csv", index=False)
    metrics = pd.read_csv(run / "metrics.csv").drop(columns="pruning/lr_min")
    metrics.to_csv(run / "metrics.csv", index=False)
    report_runs([run])
    assert len(pd.read_csv(run / "report" / "cycles.csv")) == 3


@pytest.mark.parametrize("name", ["$x_{$", "$\\frac{1}{$", "\udcff", "[/red]", "_a"])
def test_a_folder_may_have_any_name(tmp_path, name):
    folder = write_run(tmp_path / name, cycles=1, dense=2, retrain=1)
    report_runs([folder])
    for picture in ("metric_over_density.png", "learning_rate.png", "density_per_layer.png"):
        assert (folder / "report" / picture).read_bytes().startswith(b"\x89PNG"), picture
