import json
from pathlib import Path

import pandas as pd
import pytest
from synthetic import STEPS_PER_EPOCH, write_run

from lightning_prune.lab.report.finding import find_run
from lightning_prune.lab.report.read_run import read_run, read_runs


def test_the_newest_version_of_a_parent_is_taken(tmp_path: Path) -> None:
    write_run(tmp_path / "version_0", cycles=1)
    write_run(tmp_path / "version_1", cycles=1)
    assert find_run(tmp_path) == tmp_path / "version_1"
    assert find_run(tmp_path / "version_0") == tmp_path / "version_0"


def test_cycles_and_their_first_steps(tmp_path: Path) -> None:
    with_record = read_run(write_run(tmp_path / "a", cycles=2, dense=4, retrain=3), "a")
    without = read_run(write_run(tmp_path / "b", cycles=2, dense=4, retrain=3, record=False), "b")
    expected = {0: 0, 1: 4 * STEPS_PER_EPOCH, 2: 7 * STEPS_PER_EPOCH}
    assert with_record.first_steps == without.first_steps == expected
    assert len(with_record.epochs) == 4 + 2 * 3
    assert with_record.finished
    assert without.finished is None


def test_a_run_given_twice_is_read_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "silo" / "version_0", cycles=1)
    assert [run.name for run in read_runs([folder, folder.parent])] == ["silo"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist. Give the folder of a run"):
        find_run(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no metrics.csv in .*; found notes.txt. Give"):
        find_run(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"is a file"):
        find_run(tmp_path / "notes.txt")


@pytest.mark.parametrize("content", ["", "epoch,step\n"])
def test_an_empty_file_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(ValueError, match=r"is empty. Wait for the first epoch"):
        read_run(tmp_path, "run")


def test_a_run_without_pruning_is_said(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0], "val_acc": [0.5]}).to_csv(tmp_path / "metrics.csv", index=False)
    with pytest.raises(ValueError, match=r"no column pruning/cycle, only epoch, val_acc. Was `lightning_prune"):
        read_run(tmp_path, "run")


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    text = (folder / "pruning.json").read_text()
    assert json.loads(text)["finished"]
    (folder / "pruning.json").write_text(text[:50])
    with pytest.raises(ValueError, match=r"pruning.json is damaged .*Delete it"):
        read_run(folder, "run")


@pytest.mark.parametrize("part", ["settings", "cycles.alive", "pruned.weights"])
def test_missing_keys_are_named(tmp_path: Path, part: str) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    record = json.loads((folder / "pruning.json").read_text())
    outer, _, inner = part.partition(".")
    if inner:
        del record[outer][0][inner]
    else:
        del record[outer]
    (folder / "pruning.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=rf"pruning.json lacks {part}. Delete it"):
        read_run(folder, "run")


@pytest.mark.parametrize("name", ["metrics.csv", "rates.csv", "test.csv"])
def test_a_malformed_csv_is_said(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run", cycles=1)
    (folder / name).write_text("step,epoch,pruning/cycle\n1,2,3\n1,2,3,4,5\n")
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a CSV file"):
        read_run(folder, "run")
    (folder / name).write_text("step,epoch,pruning/cycle\n1,2,3\nstep,2,3\n")
    with pytest.raises(ValueError, match=rf"{name} is damaged: column step holds 'step'"):
        read_run(folder, "run")
    (folder / name).write_text("epoch,pruning/cycle\n2,3\n")
    with pytest.raises(ValueError, match=rf"{name} has no column step"):
        read_run(folder, "run")
