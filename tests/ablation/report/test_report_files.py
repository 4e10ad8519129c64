"""What a report reads and writes: only files of the study, whole files, and names that nothing chokes on."""

import errno
import json
from pathlib import Path

import pandas as pd
import pytest
from made_up_study import write_study
from studies import study as config

from lightning_prune import UserError, cli
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.report import report_command as command
from lightning_prune.ablation.report.arm_names import JAVASCRIPT, drawable
from lightning_prune.ablation.report.page import _configs
from lightning_prune.ablation.report.picture_files import write_pictures
from lightning_prune.ablation.report.pictures.over_density import draw_over_density
from lightning_prune.ablation.report.pictures.rates import draw_rates
from lightning_prune.ablation.report.read_study import read_arm, read_study
from lightning_prune.lab.report.report_file import write_report_file

TWO = {"rewind": "r", "cyclic": "o"}
LABEL = "test/accuracy, last epoch"


def write(folder: Path, **arms: str) -> Path:
    return write_study(folder, arms or TWO, seeds=(0, 1), failed=None, search=())


def change(folder: Path, **facts) -> None:
    found = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(found | facts))


def arms_of(folder: Path, config: str) -> list[dict]:
    return [{**arm, "config": config} for arm in json.loads((folder / "study.json").read_text())["arms"]]


@pytest.mark.parametrize("way", ["../secret.txt", "{secret}", "arms/link.yaml", "arms/0.yaml\0", "arms"])
def test_a_page_shows_files_of_the_study_only(tmp_path, way):
    folder = write(tmp_path / "out")
    secret = tmp_path / "secret.txt"
    secret.write_text("the password")
    (folder / "arms" / "link.yaml").symlink_to(secret)
    change(folder, arms=arms_of(folder, way.format(secret=secret)))
    texts = {one["text"] for one in _configs(read_study(folder))}
    assert texts == {"There is no such file in the folder of the study."}


def test_the_run_of_an_arm_is_read_from_the_store_only(tmp_path):
    folder = write(tmp_path / "out")
    (tmp_path / "other").mkdir()
    (folder / "nodes" / "0-dense" / "metrics.csv").rename(tmp_path / "other" / "metrics.csv")
    nodes = json.loads((folder / "study.json").read_text())["nodes"]
    nodes["0-dense"]["name"] = "../../other"
    change(folder, nodes=nodes)
    run = read_arm(read_study(folder), "rewind", 0)
    assert run is not None
    assert run.rows["pruning/cycle"].min() == 1


def test_a_shared_store_is_still_read(tmp_path):
    folder = write(tmp_path / "out")
    (folder / "nodes").rename(tmp_path / "nodes")
    change(folder, store="..")
    assert read_arm(read_study(folder), "rewind", 0).rows["pruning/cycle"].min() == 0


def test_a_full_disk_leaves_the_page_that_was_there(tmp_path, monkeypatch):
    folder = write(tmp_path / "out")
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("the page of yesterday")
    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        whole(path, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("lightning_prune.ablation.report.page.scripts", lambda: "")  # slow, and not of interest
    monkeypatch.setattr(command, "draw", lambda *given: [])
    with pytest.raises(UserError, match=r"index.html cannot be written \(No space left on device\)"):
        command.report_study(folder)
    assert (folder / "report" / "index.html").read_text() == "the page of yesterday"
    assert [path.name for path in (folder / "report").iterdir()] == ["index.html"]


def test_a_file_is_written_through_its_name_at_once(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    assert write_report_file(tmp_path / "table.csv", "new\udcff").read_text() == "new?"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    with pytest.raises(ValueError, match="cannot be written"):
        write_report_file(tmp_path / "table.csv" / "below", "text")


@pytest.mark.parametrize("name", ["a\x07b", "a\x1b[31m", "a\0b", "a\x85b", "a\ud800", "a\uffff", "line\nline"])
def test_a_name_that_cannot_be_shown_is_refused_before_training(name):
    with pytest.raises(ValueError, match=r"Ablation\(arms\): .* in it \(.*\). Leave it out"):
        Ablation.from_config(config({name: {}}))


@pytest.mark.parametrize("name", ["naïve ±", "μ=0.1", "学習率", "constructor", "nan", "<b>", "a\u200bb"])
def test_other_names_are_taken(name):
    assert [arm.name for arm in Ablation.from_config(config({name: {}})).config.arms] == [name]


def test_a_study_of_before_with_such_names_is_drawn(tmp_path):
    """One process draws all of them: a control character used to end it, `constructor` was an error of vega."""
    folder = write(tmp_path / "out", **{"one\x07": "rr", "constructor": "oo", "__proto__": "ss", "one␇": "cc"})
    found = read_study(folder)
    assert found.arms == ["one␇", "constructor\u200b", "__proto__\u200b", "one␇\u200b"]
    assert set(found.table["arm"]) == set(found.arms)
    assert {path["arm"] for path in found.paths} == set(found.arms)
    runs = {arm: read_arm(found, arm, 0) for arm in found.arms}
    assert len(write_pictures(tmp_path, [draw_over_density(found, LABEL), draw_rates(found, runs)])) == 4
    drawn = (tmp_path / "learning_rate.svg").read_text()
    assert all(f">{arm}</text>" in drawn for arm in found.arms)


def test_every_name_that_javascript_has_is_another_one_in_pictures():
    assert {"constructor", "toString", "__proto__"} < JAVASCRIPT
    assert not JAVASCRIPT & {drawable(name) for name in JAVASCRIPT}


def test_a_metric_of_any_name_is_drawn(tmp_path):
    folder = write(tmp_path / "out")
    change(folder, test_metric="test/\x07acc")
    picture = draw_over_density(read_study(folder), "test/\x07acc, last epoch")
    assert len(write_pictures(tmp_path, [picture])) == 2


def test_arms_called_nan_and_none_are_read_from_the_csv(tmp_path):
    folder = write(tmp_path / "out", nan="r", None_="o")
    (folder / "study.json").write_text((folder / "study.json").read_text().replace("None_", "None"))
    table = pd.read_parquet(folder / "table.parquet")
    table["arm"] = table["arm"].replace("None_", "None")
    table.to_csv(folder / "table.csv", index=False)
    (folder / "table.parquet").unlink()
    found = read_study(folder)
    assert found.arms == ["nan", "None"]
    assert set(found.table["arm"]) == {"nan", "None"}
    assert found.measured_arms == ["nan", "None"]


def test_the_command_knows_the_folder_of_a_study(tmp_path, capsys):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(SystemExit):
        cli.main(["report", str(tmp_path)])
    assert "lightning-prune report: error: " in (said := capsys.readouterr().err)
    assert "study.json" in said
