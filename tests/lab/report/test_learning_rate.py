from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import vl_convert
from synthetic import STEPS_PER_EPOCH, write_run

from lightning_prune.ablation.report.picture_files import alone
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.pictures.rates import SAMPLED, draw_rates
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_curves import rate_band, rate_curves
from lightning_prune.lab.report.read_run import read_run
from lightning_prune.lab.report.vega import VEGA_LITE


def drawn(run: Run) -> Picture:
    study = Study(run.folder, {"kind": "runs", "arms": [{"name": run.name}]}, pd.DataFrame())
    return draw_rates(study, {run.name: run})


def rates(picture: Picture) -> list[dict]:
    return [row for row in picture.spec["datasets"]["rows"] if row["kind"] == "rate"]


def svg(picture: Picture) -> str:
    return vl_convert.vegalite_to_svg(alone(picture), vl_version=VEGA_LITE)


def test_rates_csv_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    (folder / "rates.csv").write_text("step,lr-SGD/pg1,lr-SGD/pg2\n0,0.1,0.1\n88,0.01,0.01\n153,0.01,0.01\n")
    run = read_run(folder, "run")
    curves = rate_curves(run)
    assert list(curves) == ["lr-SGD/pg1"]
    assert curves["lr-SGD/pg1"].to_dict() == {0: 0.1, 88: 0.01, 153: 0.01}
    assert [(row["step"], row["rate"], row["marked"]) for row in rates(drawn(run))] == [
        (0, 0.1, False), (88, 0.01, False), (153, 0.01, False),
    ]  # fmt: skip


def test_constant_rates_are_drawn_as_steps(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    (folder / "rates.csv").write_text("step,lr-SGD\n0,0.1\n88,0.09\n153,0.09\n")
    (path,) = [part for part in svg(drawn(read_run(folder, "run"))).split('<path aria-label="') if "#0072B2" in part]
    points = path.split(' d="M')[1].split('"')[0].replace("L", ",").split(",")
    places = list(zip(map(float, points[::2]), map(float, points[1::2]), strict=True))
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(places)), "a slope"


def test_sampled_rates_are_marks_without_a_line(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, dense=4, retrain=3), "run")
    run.rows["lr-SGD/pg2"] = run.rows["lr-SGD"]
    run.rows["lr-SGD-momentum"] = 0.9
    curves = rate_curves(run)
    assert list(curves) == ["lr-SGD"]
    assert np.isnan(curves["lr-SGD"][4 * STEPS_PER_EPOCH - 0.5])
    bare = Run(run.name, run.folder, run.rows.drop(columns=["pruning/lr_min", "pruning/lr_max"]), run.record)
    picture = drawn(bare)
    assert all(row["marked"] for row in rates(picture))
    assert SAMPLED in picture.missing
    assert svg(picture).count('fill="#0072B2"') == len(rates(picture))


def test_the_picture_is_never_empty(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, dense=4, retrain=3), "run")
    run.rows.loc[run.rows["lr-SGD"].notna().cumsum() > 1, "lr-SGD"] = np.nan
    assert len(rates(drawn(run))) == 1
    assert svg(drawn(run)).count('fill="#0072B2"') == 1
    bare = Run(run.name, run.folder, run.rows.drop(columns="lr-SGD"), run.record)
    assert rate_curves(bare) == {}
    assert rate_band(bare).index.tolist() == [STEPS_PER_EPOCH * epoch for epoch in range(8)]
    assert {row["group"] for row in rates(drawn(bare))} == {"pruning/lr_min", "pruning/lr_max"}
    assert 'stroke="#0072B2"' in svg(drawn(bare))
    nothing = Run(run.name, run.folder, bare.rows.filter(regex="^(?!pruning/lr)"), run.record)
    assert drawn(nothing).missing == "No learning rates were logged."


def test_one_step_of_rates(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1, dense=4, retrain=3)
    pd.DataFrame({"step": [0], "lr-SGD": [0.1]}).to_csv(folder / "rates.csv", index=False)
    assert svg(drawn(read_run(folder, "run"))).count('fill="#0072B2"') == 1
