import json
import re
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest
from synthetic import write_run

from lightning_prune.ablation.report.runs_command import main

NAMES = ("metric_over_density", "learning_curves", "learning_rate", "density_per_layer")
PICTURES = {f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")} | {"index.html"}
TABLES = {"cycles.csv", "skipped.csv"}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "lr_rewind" / "version_0", cycles=14, tested=True)
    main([str(folder.parent)])
    printed = capsys.readouterr().out
    assert files(folder / "report") == PICTURES | TABLES
    for words in (
        "version_0",
        "4.4 %",
        "Judged by val/accuracy",
        "test/accuracy 93.0 %",
        "a bias",
        str(folder / "report" / "index.html"),
        "metric_over_density",
        "cycles.csv",
    ):
        assert words in printed
    assert "Not finished" not in printed
    assert len(pd.read_csv(folder / "report" / "cycles.csv")) == 15


def test_pictures_show_something(tmp_path: Path) -> None:
    main([str(write_run(tmp_path / "run", cycles=3))])
    for name in NAMES:
        picture = matplotlib.image.imread(tmp_path / "run" / "report" / f"{name}.png")
        assert min(picture.shape[:2]) > 300
        assert 0.01 < (picture[..., :3].mean(-1) < 0.97).mean() < 0.9


@pytest.mark.usefixtures("undrawn")
def test_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name / "version_0", cycles=cycles) for name, cycles in (("a", 2), ("b", 3))]
    out = tmp_path / "out"
    main([*map(str, runs), "--out", str(out)])
    assert files(out) == PICTURES | {"pareto.png", "pareto.svg", "comparison.csv", "cycles.csv"}
    printed = capsys.readouterr().out
    assert str(out / "index.html") in printed
    cycles = pd.read_csv(out / "cycles.csv")
    assert cycles.groupby("run")["cycle"].max().to_dict() == {"a": 2, "b": 3}
    assert pd.read_csv(out / "comparison.csv").columns.tolist() == ["density", "a", "b"]
    assert "val/accuracy at the end of the cycle" in printed


@pytest.mark.usefixtures("undrawn")
def test_several_runs_go_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path / name, cycles=1) for name in ("a", "b")]
    monkeypatch.chdir(tmp_path)
    main([*map(str, runs)])
    assert (tmp_path / "report" / "index.html").is_file()


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(write_run(tmp_path / "run", cycles=7, finished=False))])
    assert "Not finished: the run is still going or was interrupted, in cycle 7 of 10." in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_only_dense_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", cycles=0, finished=False)
    main([str(folder)])
    assert "in the dense training" in capsys.readouterr().out
    assert files(folder / "report") == {one for one in PICTURES if "layer" not in one} | TABLES
    assert "No densities were recorded" in (folder / "report" / "index.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_without_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", cycles=2, record=False)
    main([str(folder)])
    assert "There is no pruning.json" in capsys.readouterr().out
    assert files(folder / "report") >= PICTURES


@pytest.mark.usefixtures("undrawn")
def test_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", cycles=1, accuracy="val_top1_acc")
    main([str(folder)])
    assert "Judged by val_top1_acc" in capsys.readouterr().out
    main([str(folder), "--metric", "val/loss"])
    assert "Judged by val/loss" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_no_validation_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    rows = pd.read_csv(folder / "metrics.csv").drop(columns=["val/accuracy", "val/loss"])
    rows.to_csv(folder / "metrics.csv", index=False)
    main([str(folder)])
    assert "No validation metric was logged" in capsys.readouterr().out
    assert "No validation metric was logged" in (folder / "report" / "index.html").read_text()
    main([str(folder), str(write_run(tmp_path / "other", cycles=1)), "--out", str(tmp_path / "both")])
    assert pd.read_csv(tmp_path / "both" / "comparison.csv").columns.tolist() == ["density", "other"]


def test_a_misspelt_metric_names_the_nearest(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    with pytest.raises(
        ValueError, match=r"`metric=val/accuracies` \(--metric\) was not logged. Did you mean `val/accuracy`"
    ):
        main([str(folder), "--metric", "val/accuracies"])


@pytest.mark.usefixtures("undrawn")
def test_different_metrics_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, cycles=2, accuracy=f"val/{name}_acc") for name in ("a", "b")]
    out = tmp_path / "out"
    main([*map(str, runs), "--out", str(out)])
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "The runs are judged by val/a_acc, val/b_acc: --metric chooses one for all. The page shows val/a_acc."
        in printed
    )
    assert pd.read_csv(out / "comparison.csv").columns.tolist() == ["density", "a val/a_acc", "b val/b_acc"]
    spec = picture(out, "metric_over_density")
    assert {(row["arm"], row["measure"]) for row in spec["datasets"]["rows"] if row["mean"] is not None} == {
        ("a", "val/a_acc, last epoch"),
        ("a", "val/a_acc, best epoch"),
        *((arm, "validation loss, last epoch") for arm in "ab"),
    }


def picture(folder: Path, name: str) -> dict:
    """The specification of a picture, which stands in the file if nothing is drawn."""
    return json.loads((folder / f"{name}.svg").read_text())


@pytest.mark.usefixtures("undrawn")
def test_a_learning_curve_for_each_cycle(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=3, dense=6, retrain=4)
    main([str(folder)])
    logged = pd.read_csv(folder / "metrics.csv").dropna(subset=["pruning/cycle"])
    rows = pd.DataFrame(picture(folder / "report", "learning_curves")["datasets"]["rows"])
    assert set(rows["curve"]) == {"val/accuracy", "val/loss", "train/accuracy", "train/loss"}
    for cycle, epochs in logged.groupby("pruning/cycle"):
        curve = rows[(rows["curve"] == "val/accuracy") & (rows["cycle"] == cycle)]
        assert curve["at"].tolist() == list(range(1, len(epochs) + 1))
        assert curve["epoch"].tolist() == (epochs["epoch"] + 1).tolist()
        assert curve["value"].tolist() == pytest.approx(epochs["val/accuracy"].tolist(), rel=1e-3)


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_a_run_says_what_its_table_says(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "lr_rewind", cycles=2)
    (folder / "config.yaml").write_text("seed_everything: 7\n")
    pd.DataFrame({"step": [(30 + 15) * 22], "test/accuracy": [0.931]}).to_csv(folder / "test.csv", index=False)
    main([str(folder)])
    page = (folder / "report" / "index.html").read_text()
    last = pd.read_csv(folder / "report" / "cycles.csv").iloc[-1]
    assert f"{100 * last['val/accuracy']:.1f} % with 64.0 % of the weights." in page
    assert re.search(r'<a href="cycles.csv">.*<a href="skipped.csv">', page)
    assert "seed_everything: 7" in page
    assert "Tested at step 990, cycle 1" in page
    assert len(re.findall("93.1 %", page)) >= 2, "in the sentence, and in the row of the cycle that was tested"
    for words in ("There is one seed", "ablation", ">seed<", "of them shared", 'nav class="arms"'):
        assert words not in page


@pytest.mark.usefixtures("undrawn")
def test_the_names_of_runs_are_shown_as_they_are(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, cycles=1, dense=2, retrain=1) for name in ("<b>a", "constructor")]
    main([*map(str, runs), "--out", str(tmp_path / "out")])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;b&gt;a" in page
    assert "<b>a" not in page.split("<script")[0]


def test_out_onto_a_file_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cycles=1)
    with pytest.raises(ValueError, match=r"`out=.*metrics.csv` \(--out\) cannot be a folder"):
        main([str(run), "--out", str(run / "metrics.csv")])


def test_a_folder_of_runs_lists_them_and_the_command(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "digits" / name / "version_0", cycles=1).parent for name in ("a", "b")]
    with pytest.raises(FileNotFoundError, match=rf"holds 2:(.|\n)*lightning-prune report {runs[0]} {runs[1]}$"):
        main([str(tmp_path)])
