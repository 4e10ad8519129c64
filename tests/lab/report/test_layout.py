import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from synthetic import write_run

from lightning_prune.ablation.report.runs_report import report_runs
from lightning_prune.lab.report import layout

pytestmark = pytest.mark.usefixtures("undrawn")


def printed(paths: list[Path], out: Path, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    report_runs(paths, out=out, console=console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_one_run_fits(tmp_path: Path, width: int) -> None:
    text = printed([write_run(tmp_path / "run")], tmp_path / "out", width)
    table = text.split("The page:")[0]
    assert "…" not in text
    assert max(map(len, table.splitlines())) <= width
    assert all(words in table for words in ("density", "accuracy", "100.0 %", "4.4 %"))
    assert ("The CSV has all columns" in " ".join(table.split())) == (width == 80)


def test_columns_are_dropped_in_order(tmp_path: Path) -> None:
    folder, out = write_run(tmp_path / "run", retrain=16), tmp_path / "out"
    line = next(line for line in printed([folder], out, 80).splitlines() if "Left out" in line)
    assert line.startswith("Left out to fit 80 characters: of the model, train/loss")
    narrow = " ".join(printed([folder], out, 55).split())
    assert "of the model, train/loss, train/accuracy, best in the cycle, seconds" in narrow


@pytest.mark.parametrize("width", [80, 100, 120])
def test_eleven_runs_fit(tmp_path: Path, width: int) -> None:
    names = [f"a_policy_with_a_rather_long_name_{index}" for index in range(11)]
    runs = [write_run(tmp_path / name, dense=2, retrain=2) for name in names]
    text = printed(runs, tmp_path / "out", width)
    blocks = text.split("at the end of the cycle")[1].split("The page:")[0]
    assert "…" not in text
    assert max(map(len, blocks.splitlines())) <= width
    assert all(density in blocks for density in ("100.0 %", "80.0 %", "4.4 %"))


def test_names_are_shown_as_they_are_written() -> None:
    names = ["part [norm, bias]", "part [/red]", "red \x1b[31m"]
    console = Console(width=120, file=io.StringIO())
    table = pd.DataFrame([[0.9, 0.8, 0.7]], columns=names, index=[0.5])
    console.print(layout.comparison(table, "val/accuracy", 120))
    text = console.file.getvalue()
    for name in (*names[:2], r"red \x1b[31m"):
        assert any(line.strip().startswith(f"{name} ") for line in text.splitlines()), name
    assert "\x1b" not in text
