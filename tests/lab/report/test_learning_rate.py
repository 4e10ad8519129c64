from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
from synthetic import STEPS_PER_EPOCH, write_run

from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_band, rate_curves
from lightning_prune.lab.report.rate_picture import draw_learning_rate
from lightning_prune.lab.report.read_run import read_run

BLUE = np.array([0x00, 0x72, 0xB2]) / 255


def blue(path: Path) -> int:
    picture = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(picture - BLUE).max(-1) < 0.02).sum())


def test_rates_csv_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    (folder / "rates.csv").write_text("step,lr-SGD/pg1,lr-SGD/pg2\n0,0.1,0.1\n88,0.01,0.01\n153,0.01,0.01\n")
    curves = rate_curves(read_run(folder, "run"))
    assert list(curves) == ["lr-SGD/pg1"]
    assert curves["lr-SGD/pg1"].to_dict() == {0: 0.1, 88: 0.01, 153: 0.01}


def test_constant_rates_are_drawn_as_steps(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    (folder / "rates.csv").write_text("step,lr-SGD\n0,0.1\n88,0.09\n153,0.09\n")
    picture = matplotlib.image.imread(draw_learning_rate(tmp_path / "a.png", read_run(folder, "run")))[..., :3]
    hits = (np.abs(picture - BLUE).max(-1) < 0.4).sum(0)  # blue points in every column
    assert hits.max() > 200  # the jump is one vertical line, not a slope
    assert (hits > 20).sum() < 10


def test_sampled_rates_are_not_joined_over_a_boundary(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, dense=4, retrain=3), "run")
    run.rows["lr-SGD/pg2"] = run.rows["lr-SGD"]
    run.rows["lr-SGD-momentum"] = 0.9
    curves = rate_curves(run)
    assert list(curves) == ["lr-SGD"]
    assert np.isnan(curves["lr-SGD"][4 * STEPS_PER_EPOCH - 0.5])


def test_the_picture_is_never_empty(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, dense=4, retrain=3), "run")
    run.rows.loc[run.rows["lr-SGD"].notna().cumsum() > 1, "lr-SGD"] = np.nan
    assert blue(draw_learning_rate(tmp_path / "one.png", run)) > 10
    bare = Run(run.name, run.folder, run.rows.drop(columns="lr-SGD"), run.record)
    assert rate_curves(bare) == {}
    assert rate_band(bare).index.tolist() == [STEPS_PER_EPOCH * epoch for epoch in range(8)]
    picture = matplotlib.image.imread(draw_learning_rate(tmp_path / "band.png", bare))[..., :3]
    assert (np.abs(picture - 0.8).max(-1) < 0.02).sum() > 500
    nothing = Run(run.name, run.folder, bare.rows.filter(regex="^(?!pruning/lr)"), run.record)
    assert draw_learning_rate(tmp_path / "none.png", nothing) is None


def test_one_step_of_rates(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    pd.DataFrame({"step": [0], "lr-SGD": [0.1]}).to_csv(folder / "rates.csv", index=False)
    assert blue(draw_learning_rate(tmp_path / "a.png", read_run(folder, "run"))) > 10
