from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest
from synthetic import write_run

from lightning_prune.lab.run_command import main

PICTURES = {"accuracy_over_density.png", "learning_rate.png", "density_per_layer.png"}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "lr_rewind" / "version_0", cycles=14, tested=True)
    main([str(folder.parent)])
    printed = capsys.readouterr().out
    assert files(folder / "report") == PICTURES | {"cycles.csv", "skipped.csv"}
    for words in (
        "version_0",
        "4.4 %",
        "Judged by val/accuracy",
        "test/accuracy 93.0 %",
        "a bias",
        "accuracy_over_density.png",
        "cycles.csv",
    ):
        assert words in printed
    assert "Not finished" not in printed
    assert len(pd.read_csv(folder / "report" / "cycles.csv")) == 15


def test_pictures_show_something(tmp_path: Path) -> None:
    main([str(write_run(tmp_path / "run", cycles=3))])
    for name in PICTURES:
        picture = matplotlib.image.imread(tmp_path / "run" / "report" / name)
        if name == "accuracy_over_density.png":
            assert picture.shape[:2] == (pytest.approx(675, rel=0.05), pytest.approx(1125, rel=0.05))
        assert min(picture.shape[:2]) > 300
        assert 0.01 < (picture[..., :3].mean(-1) < 0.97).mean() < 0.9


@pytest.mark.usefixtures("undrawn")
def test_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name / "version_0", cycles=cycles) for name, cycles in (("a", 2), ("b", 3))]
    out = tmp_path / "out"
    main([*map(str, runs), "--out", str(out)])
    assert files(out) == {"a", "b", "comparison.csv", "comparison.png"}
    printed = capsys.readouterr().out
    assert "learning_rate.png" not in printed
    assert f"\n  {out / 'a'}\n" in printed
    assert files(out / "a") == PICTURES | {"cycles.csv", "skipped.csv"}
    assert pd.read_csv(out / "comparison.csv").columns.tolist() == ["density", "a", "b"]
    assert "val/accuracy at the end of the cycle" in printed


@pytest.mark.usefixtures("undrawn")
def test_several_runs_go_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path / name, cycles=1) for name in ("a", "b")]
    monkeypatch.chdir(tmp_path)
    main([*map(str, runs)])
    assert (tmp_path / "report" / "comparison.png").is_file()


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(write_run(tmp_path / "run", cycles=7, finished=False))])
    assert "Not finished: the run is still going or was interrupted, in cycle 7 of 10." in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_only_dense_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", cycles=0, finished=False)
    main([str(folder)])
    assert "in the dense training" in capsys.readouterr().out
    assert files(folder / "report") == {"accuracy_over_density.png", "learning_rate.png", "cycles.csv", "skipped.csv"}


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


def test_a_misspelt_metric_names_the_nearest(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    with pytest.raises(ValueError, match=r"`--metric val/accuracies` was not logged. Did you mean `val/accuracy`"):
        main([str(folder), "--metric", "val/accuracies"])


def test_different_metrics_have_a_panel_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, cycles=2, accuracy=f"val/{name}_acc") for name in ("a", "b")]
    out = tmp_path / "out"
    main([*map(str, runs), "--out", str(out)])
    assert "The runs are judged by val/a_acc, val/b_acc: --metric chooses one" in capsys.readouterr().out
    assert pd.read_csv(out / "comparison.csv").columns.tolist() == ["density", "a val/a_acc", "b val/b_acc"]
    one = matplotlib.image.imread(out / "a" / "accuracy_over_density.png")
    height = matplotlib.image.imread(out / "comparison.png").shape[0]
    assert height == pytest.approx(2 * one.shape[0], rel=0.1)


def test_out_onto_a_file_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cycles=1)
    with pytest.raises(ValueError, match=r"`--out .*metrics.csv` cannot be a folder"):
        main([str(run), "--out", str(run / "metrics.csv")])


def test_a_folder_of_runs_lists_them_and_the_command(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "digits" / name / "version_0", cycles=1).parent for name in ("a", "b")]
    with pytest.raises(FileNotFoundError, match=rf"holds 2:(.|\n)*lightning-prune report {runs[0]} {runs[1]}$"):
        main([str(tmp_path)])
