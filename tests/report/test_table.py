from pathlib import Path

import pytest
from synthetic import LAYERS, write_run

from lightning_prune.lab.report.names import choose_columns
from lightning_prune.lab.report.reading import Run, read_run
from lightning_prune.lab.report.table import (
    comparison_table,
    cycle_table,
    layer_table,
    rate_curves,
    results_of_testing,
    skipped_table,
)


def summarise(run: Run):
    return cycle_table(run, choose_columns(list(run.rows)))


def test_a_row_per_cycle(tmp_path: Path) -> None:
    table = summarise(read_run(write_run(tmp_path / "run", cycles=2, dense=4, retrain=3), "run"))
    assert table["cycle"].tolist() == [0, 1, 2]
    assert table["epochs"].tolist() == [4, 3, 3]
    assert table["first_epoch"].tolist() == [0, 4, 7]
    assert table["density"].tolist() == pytest.approx([1, 0.8, 0.64])
    assert table["lr_min"].tolist() == pytest.approx([0.001, 0.01, 0.01])
    assert table["lr_max"].tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert table["seconds"].tolist() == pytest.approx([0.32, 0.24, 0.24])


def test_the_metric_is_the_last_one_and_the_best_is_beside_it(tmp_path: Path) -> None:
    dense = summarise(read_run(write_run(tmp_path / "run", cycles=1, dense=4), "run")).iloc[0]
    assert dense["val/accuracy"] == pytest.approx(0.970)
    assert dense["best"] == pytest.approx(0.972)


def test_a_cycle_that_just_began_has_no_row(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=2, dense=4, retrain=3), "run")
    running = Run(run.name, run.folder, run.rows[run.rows["step"] <= 7 * 22], run.record)
    assert summarise(running)["cycle"].tolist() == [0, 1]


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


def test_tested_are_found(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, tested=True), "run")
    assert results_of_testing(run) == {"test/accuracy": 0.93, "test/loss": 0.2}
    assert len(run.epochs) == 45


def test_runs_share_a_row_where_their_densities_agree(tmp_path: Path) -> None:
    tables = [
        summarise(read_run(write_run(tmp_path / name, cycles=cycles), name)) for name, cycles in (("a", 1), ("b", 2))
    ]
    tables[0].loc[1, "density"] = 0.80004
    compared = comparison_table(tables, ["a", "b"], ["val/accuracy", "val/accuracy"])
    assert compared.index.tolist() == [1.0, 0.8, 0.64]
    assert compared["a"].isna().tolist() == [False, False, True]


def test_parameter_groups_that_agree_are_one_curve(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1), "run")
    run.rows["lr-SGD/pg2"] = run.rows["lr-SGD"]
    run.rows["lr-SGD-momentum"] = 0.9
    assert list(rate_curves(run)) == ["lr-SGD"]
    monitored = [name for name in run.rows if name.startswith("lr-")]
    bare = Run(run.name, run.folder, run.rows.drop(columns=monitored), run.record)
    assert list(rate_curves(bare)) == ["pruning/lr_max"]
