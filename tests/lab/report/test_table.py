from pathlib import Path

import pandas as pd
import pytest
from synthetic import LAYERS, STEPS_PER_EPOCH, write_run

from lightning_prune.lab.metric_names import choose_columns
from lightning_prune.lab.report.cycle_table import (
    comparison_table,
    cycle_table,
    layer_table,
    skipped_table,
)
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.read_run import read_run


def summarize(run: Run):
    return cycle_table(run, choose_columns(list(run.rows)))


def test_a_row_per_cycle(tmp_path: Path) -> None:
    table = summarize(read_run(write_run(tmp_path / "run", cycles=2, dense=4, retrain=3), "run"))
    assert table["cycle"].tolist() == [0, 1, 2]
    assert table["epochs"].tolist() == [4, 3, 3]
    assert table["first_epoch"].tolist() == [0, 4, 7]
    assert table["density"].tolist() == pytest.approx([1, 0.8, 0.64])
    assert table["lr_min"].tolist() == pytest.approx([0.001, 0.01, 0.01])
    assert table["lr_max"].tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert table["seconds"].tolist() == pytest.approx([0.32, 0.24, 0.24])


def test_the_metric_is_the_last_one_and_the_best_is_beside_it(tmp_path: Path) -> None:
    dense = summarize(read_run(write_run(tmp_path / "run", cycles=1, dense=4), "run")).iloc[0]
    assert dense["val/accuracy"] == pytest.approx(0.970)
    assert dense["best"] == pytest.approx(0.972)


def test_a_cycle_that_just_began_measured_nothing(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=2, dense=4, retrain=3), "run")
    table = summarize(Run(run.name, run.folder, run.rows[run.rows["step"] <= 7 * 22], run.record))
    assert table["cycle"].tolist() == [0, 1, 2]
    assert table["val/accuracy"].isna().tolist() == [False, False, True]


def test_cycles_shorter_than_an_epoch_keep_their_rows(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=6, dense=4, retrain=3), "run")
    for index, entry in enumerate(run.record["cycles"]):
        entry["first_step"] = 4 * STEPS_PER_EPOCH + 11 * index  # two cycles an epoch
    table = summarize(run)
    assert table["cycle"].tolist() == list(range(7))
    assert table["val/accuracy"].isna().tolist() == [False, True, False, True, False, True, False]
    assert table["first_step"].tolist() == [0, 88, 99, 110, 121, 132, 143]
    assert table["density"].iloc[1] == pytest.approx(0.797, abs=0.01)  # from the record


def test_the_layers_agree_with_and_without_the_record(tmp_path: Path) -> None:
    with_record = layer_table(read_run(write_run(tmp_path / "a", cycles=3), "a"))
    without = layer_table(read_run(write_run(tmp_path / "b", cycles=3, record=False), "b"))
    assert list(with_record.index) == list(LAYERS)
    assert list(with_record.columns) == list(without.columns) == [1, 2, 3]
    assert (with_record - without.loc[with_record.index]).abs().to_numpy().max() < 1e-3


def test_what_is_not_pruned(tmp_path: Path) -> None:
    skipped = skipped_table(read_run(write_run(tmp_path / "a", cycles=1), "a"))
    assert skipped["weights"].sum() == 410
    assert skipped_table(read_run(write_run(tmp_path / "b", cycles=1, record=False), "b")).empty


def test_rows_that_are_not_of_the_fit_change_nothing(tmp_path: Path) -> None:
    plain = summarize(read_run(write_run(tmp_path / "a", cycles=1, dense=4), "a"))
    folder = write_run(tmp_path / "b", cycles=1, dense=4)
    rows = pd.read_csv(folder / "metrics.csv")
    late = pd.DataFrame({"step": [0, 400], "epoch": [0, 0], "val/accuracy": [0.1, 0.1], "test/accuracy": [0.93, 0.9]})
    pd.concat([rows, late]).to_csv(folder / "metrics.csv", index=False)
    pd.testing.assert_frame_equal(plain, summarize(read_run(folder, "b")))


def test_runs_share_a_row_where_their_densities_agree() -> None:
    curves = {"a": pd.Series([0.9, 0.8], index=[1.0, 0.80004]), "b": pd.Series([0.9, 0.8, 0.7], index=[1, 0.8, 0.64])}
    compared = comparison_table(curves)
    assert compared.index.tolist() == [1.0, 0.8, 0.64]
    assert compared["a"].isna().tolist() == [False, False, True]
