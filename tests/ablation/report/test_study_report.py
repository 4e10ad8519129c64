"""What the report of a study says: numbers, the tree, what is missing, and what was typed wrong."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_study import DENSE, LAYERS, RETRAIN, STEPS, write_study

from lightning_prune import cli
from lightning_prune.ablation.report import headline
from lightning_prune.ablation.report import report_command as command
from lightning_prune.ablation.report.page import write_page
from lightning_prune.ablation.report.pictures.cost import draw_cost
from lightning_prune.ablation.report.pictures.differences import draw_differences
from lightning_prune.ablation.report.pictures.layers import draw_layers
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.pictures.rates import draw_rates
from lightning_prune.ablation.report.pictures.search import draw_search
from lightning_prune.ablation.report.pictures.shared_work import boxes_of
from lightning_prune.ablation.report.read_study import read_arm, read_study
from lightning_prune.ablation.report.reported_study import Study

LABEL = "test/accuracy, last epoch"
TWO = {"rewind": "rr", "cyclic": "oo"}
THREE = {**TWO, "switch": "or"}


def study(out: Path, arms: dict[str, str] = TWO, **options) -> Study:
    return read_study(write_study(out, arms, **{"failed": None, "search": (), **options}))


def edit(folder: Path, **columns) -> None:
    """Overwrite columns of the table."""
    table = pd.read_parquet(folder / "table.parquet").assign(**columns)
    table.to_parquet(folder / "table.parquet")


def rows(picture: Picture) -> list[dict]:
    return picture.spec["datasets"]["rows"]


def test_the_headline_names_who_is_better_and_where(tmp_path):
    write_study(tmp_path, THREE, failed=None, search=())
    table = pd.read_parquet(tmp_path / "table.parquet")
    lift = table["arm"].map({"rewind": 0.9, "cyclic": 0.91, "switch": 0.9}) + 0.001 * table["seed"]
    noise = 0.03 * (table["seed"] - 1) * ((table["arm"] == "cyclic") & (table["cycle"] == 2))
    edit(tmp_path, val_last=np.where(table["cycle"] == 0, 0.95, lift + noise))
    found = read_study(tmp_path)
    assert [winner.verdict for winner in headline.winners(found)] == ["cyclic", "undecided"]
    said = headline.lead(found)
    assert said.startswith("3 arms compared at 2 densities with 3 seeds, judged by val/accuracy, last epoch.")
    assert said.endswith("Better than all others: cyclic at 80.0 %; elsewhere the differences are not significant.")


def test_shared_epochs_are_counted_once(tmp_path):
    found = study(tmp_path, THREE)  # per seed: dense for all, a cycle for two arms, four cycles for one arm each
    trained, alone = 3 * (DENSE + 5 * RETRAIN), 3 * 3 * (DENSE + 2 * RETRAIN)
    (figure,) = [figure for figure in headline.figures(found) if "epochs" in figure.words]
    assert figure.number == str(trained)
    assert f"{100 * trained / alone:.0f} % of the {alone}" in figure.words


def test_numbers_side_by_side(tmp_path):
    found = study(tmp_path)
    densities, lines = headline.results(found, found.measures[0])
    assert densities == ["100.0 %", "80.0 %", "64.0 %"]
    mean = found.table.query("arm == 'cyclic' and cycle == 2")["test_last"].mean()
    assert dict(lines)["cyclic"][2].startswith(f"{100 * mean:.1f} ± ")


def test_the_run_of_an_arm_is_the_row_of_its_nodes(tmp_path):
    run = read_arm(study(tmp_path, THREE), "switch", seed=2)
    assert run.first_steps == {0: 0, 1: DENSE * STEPS, 2: (DENSE + RETRAIN) * STEPS}
    assert run.epochs.index.tolist() == list(range(DENSE + 2 * RETRAIN))
    assert run.rates.index.tolist() == list(range((DENSE + 2 * RETRAIN) * STEPS))


def test_the_tree_has_a_place_for_every_node(tmp_path):
    found = study(tmp_path, {**THREE, "silo": "ss"}, search=("silo",))
    boxes = {box.key: box for box in boxes_of(found, seed=1)}
    assert set(boxes) == {key for key, node in found.nodes.items() if node["seed"] == 1}
    for key, box in boxes.items():
        parent = found.nodes[key]["parent"]
        assert box.bottom > box.top
        if parent is not None:
            assert boxes[parent].top <= box.top < box.bottom <= boxes[parent].bottom
    for cycle in range(3):
        level = sorted(
            (box for key, box in boxes.items() if found.nodes[key]["first"] == cycle), key=lambda box: box.top
        )
        assert all(above.bottom <= below.top for above, below in pairwise(level))
    assert {arm for box in boxes.values() for arm in box.ends} == {"rewind", "cyclic", "switch", "silo"}
    assert boxes["1-o"].bottom - boxes["1-o"].top == 2  # two arms go on from it


def test_differences_are_taken_to_the_chosen_arm(tmp_path):
    picture = draw_differences(study(tmp_path, THREE), LABEL, against="cyclic")
    assert {choice.signal: choice.chosen for choice in picture.choices}["reference"] == "cyclic"
    pairs = {(row["arm"], row["reference"]) for row in rows(picture)}
    assert len(pairs) == 6
    one = {(row["arm"], row["reference"], row["at"], row["measure"]): row["difference"] for row in rows(picture)}
    for (arm, reference, at, measure), value in one.items():
        assert value == pytest.approx(-one[reference, arm, at, measure])


def test_costs_are_counted_alone_and_beside_the_others(tmp_path):
    costs = {
        (row["arm"], row["cycle"]): (row["alone"], row["here"])
        for row in rows(draw_cost(study(tmp_path, THREE), LABEL))
        if row["unit"] == "epochs"
    }
    alone = DENSE + 2 * RETRAIN
    assert costs["rewind", 2] == (alone, alone)
    assert costs["cyclic", 2] == (alone, 2 * RETRAIN)
    assert costs["switch", 2] == (alone, RETRAIN)


def test_the_search_shows_what_it_tried(tmp_path):
    found = study(tmp_path, {**TWO, "silo": "ss"}, search=("silo",))
    tried = [row for row in rows(draw_search(found)) if row["seed"] == "0" and row["cycle"] == 1]
    assert [row["value"] for row in tried] == [0.03, 0.1, 0.3]
    assert [row["value"] for row in tried if row["chosen"]] == [0.1]
    assert draw_search(study(tmp_path / "none")) is None


def test_a_search_over_several_arguments_is_drawn(tmp_path):
    folder = write_study(tmp_path, {"rewind": "r", "silo": "s"}, failed=None)
    values = [{"peak": 0.1, "warmup": 0.2}, {"peak": 0.3, "warmup": 0.1}]
    tried = json.dumps({"argument": "peak, warmup", "values": values, "scores": [0.9, None], "chosen": values[0]})
    edit(folder, tried=pd.read_parquet(folder / "table.parquet")["tried"].map(lambda text: text and tried))
    assert {row["value"] for row in rows(draw_search(read_study(folder)))} == {"peak 0.1, warmup 0.2"}


def test_layers_have_short_names_and_their_densities(tmp_path):
    found = study(tmp_path)
    cells = rows(draw_layers(found, {"rewind": read_arm(found, "rewind", seed=0)}))
    assert {row["layer"] for row in cells} == {"fc1", "fc2", "fc3"}
    assert {row["tensor"] for row in cells} == set(LAYERS)
    (one,) = [row for row in cells if (row["arm"], row["layer"], row["cycle"]) == ("rewind", "fc2", 2)]
    assert one["density"] == pytest.approx(0.64, abs=1e-3)


def test_curves_of_many_steps_are_thinned_without_losing_peaks(tmp_path):
    folder = write_study(tmp_path, {"rewind": "r"}, failed=None, search=())
    steps = np.arange(DENSE * STEPS, DENSE * STEPS + 20_000)
    rates = 0.01 + 0.001 * np.sin(steps)
    rates[7_777] = 3.0
    pd.DataFrame({"step": steps, "lr-SGD": rates}).to_csv(folder / "nodes" / "0-r" / "rates.csv", index=False)
    found = read_study(folder)
    drawn = draw_rates(found, {"rewind": read_arm(found, "rewind", seed=0)})
    curve = [row for row in rows(drawn) if row["kind"] == "rate"]
    assert len(curve) < 1_500
    assert (steps[7_777], 3.0) in {(row["step"], row["rate"]) for row in curve}
    assert curve[-1]["step"] == steps[-1]


@pytest.mark.parametrize("missing", ["test", "rates", "seeds", "results", "nodes", "record"])
def test_what_is_missing_is_said(tmp_path, monkeypatch, missing):
    options = {"test": {"test": False}, "rates": {"rates": False}, "seeds": {"seeds": (4,)}}.get(missing, {})
    folder = write_study(tmp_path, TWO, failed=None, search=(), **options)
    if missing == "results":
        nothing = dict.fromkeys(["val_last", "val_best", "test_last", "test_best", "loss_last"], np.nan)
        edit(folder, **nothing, cycle=np.nan, error="RuntimeError: out of memory")
    if missing == "nodes":
        facts = json.loads((folder / "study.json").read_text())
        facts |= {"nodes": {}, "paths": [{**path, "nodes": []} for path in facts["paths"]]}
        (folder / "study.json").write_text(json.dumps(facts))
    if missing == "record":
        for record in folder.glob("nodes/*/pruning.json"):
            record.unlink()
    monkeypatch.setattr("lightning_prune.ablation.report.page.scripts", lambda: "")  # slow, and not of interest
    found = read_study(folder)
    page = write_page(tmp_path / "index.html", found, command.draw(found, LABEL)).read_text()
    expected = {
        "test": ["No test metric was measured."],
        "rates": ["No learning rates were logged."],
        "seeds": ["There is one seed: no interval can be given", "nothing is significant"],
        "results": ["No arm has a result yet.", "fewer than two arms have a result"],
        "nodes": ["Nothing was trained yet.", "No learning rates were logged.", "No densities were recorded"],
        "record": ["No densities were recorded"],
    }
    for sentence in expected[missing]:
        assert sentence in page


def test_a_failed_run_is_told_and_the_others_are_shown(tmp_path):
    folder = write_study(tmp_path, TWO, failed=("cyclic", 1, 1), search=())
    found = read_study(folder)
    assert headline.notes(found) == ["cyclic, seed 1, failed: RuntimeError: the loss is <nan> at step 1408"]
    assert {row["over"] for row in rows(draw_differences(found, LABEL, None)) if row["at"] == "64.0 %"} == {"2 seeds"}


def test_densities_that_differ_are_told(tmp_path):
    folder = write_study(tmp_path, TWO, failed=None, search=())
    table = pd.read_parquet(folder / "table.parquet")
    edit(folder, density=table["density"] * np.where((table["arm"] == "cyclic") & (table["cycle"] > 0), 0.9, 1))
    assert any("compared by cycle" in note for note in headline.notes(read_study(folder)))


def test_the_csv_stands_in_for_the_parquet(tmp_path):
    folder = write_study(tmp_path, TWO, failed=("cyclic", 1, 1), search=())
    whole = read_study(folder).table
    (folder / "table.parquet").unlink()
    read = read_study(folder).table
    assert read["error"].notna().sum() == 1
    pd.testing.assert_frame_equal(read.fillna("none"), whole.fillna("none"), check_dtype=False)


def test_the_command_line_tells_a_study_from_a_run(tmp_path, capsys):
    folder = write_study(tmp_path / "out", TWO, failed=None, search=())
    cli.main(["report", str(folder), "--against", "cyclic", "--metric", "val_best", "--out", str(tmp_path / "page")])
    printed = capsys.readouterr().out
    assert "2 arms compared at 2 densities" in printed
    assert str(tmp_path / "page" / "index.html") in printed.replace("\n", "")
    page = (tmp_path / "page" / "index.html").read_text()
    assert re.search(r"<option selected>cyclic</option>", page)
    assert "<option selected>val/accuracy, best epoch</option>" in page


def test_a_run_is_still_reported_as_a_run(tmp_path, capsys):
    folder = write_study(tmp_path, TWO, failed=None, search=())
    cli.main(["report", str(folder / "nodes" / "0-r"), "--out", str(tmp_path / "run")])
    assert "Judged by val/accuracy" in capsys.readouterr().out
    assert (tmp_path / "run" / "cycles.csv").is_file()


def test_what_was_typed_wrong_is_said(tmp_path):
    folder = write_study(tmp_path / "out", TWO, failed=None, search=())
    with pytest.raises(ValueError, match=r"against='cylic'.*Did you mean 'cyclic'\?"):
        command.report_study(folder, against="cylic")
    with pytest.raises(
        ValueError, match=r"`metric=test_lst` \(--metric\) was not measured. Did you mean `test_last`\?"
    ):
        command.report_study(folder, metric="test_lst")
    with pytest.raises(ValueError, match=r"`out=.*study.json` \(--out\) cannot be a folder"):
        command.report_study(folder, out=folder / "study.json")
    with pytest.raises(FileNotFoundError, match=r"no study.json in it"):
        command.report_study(tmp_path)
    assert not (folder / "report").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("study.json", "{", "study.json is damaged"),
        ("study.json", '{"format": 7}', "has format 7, this version reads 1"),
        ("study.json", '{"format": 1, "name": "x"}', "lacks command, metric"),
        ("table.parquet", "arm", "table.parquet cannot be read"),
        ("table.csv", "arm,seed\na,0\n", "has no column cycle, density"),
        ("table.csv", None, "Let the study go on with\n  lightning-prune ablate"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, text, said):
    folder = write_study(tmp_path, TWO, failed=None, search=())
    if name == "table.csv":
        (folder / "table.parquet").unlink()
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(said)):
        read_study(folder)


def test_a_damaged_file_of_a_node_is_said_and_the_rest_is_reported(tmp_path, capsys, monkeypatch):
    folder = write_study(tmp_path, TWO, failed=None, search=())
    (folder / "nodes" / "0-r" / "pruning.json").write_text("{")
    monkeypatch.setattr("lightning_prune.ablation.report.page.scripts", lambda: "")  # slow, and not of interest
    monkeypatch.setattr(command, "write_pictures", lambda place, pictures: [])
    page = command.report_study(folder).read_text()
    said = capsys.readouterr().out
    for text in (said, page):
        assert "Learning rates and layers of a node are left out: " in text
        assert "0-r/pruning.json is damaged" in text
    runs, _ = command.first_runs(read_study(folder))
    assert {arm: run.folder.name for arm, run in runs.items()} == {"rewind": "1-rr", "cyclic": "0-oo"}


def test_two_seeds_that_lose_an_image_each_are_no_verdict_and_are_warned_of(tmp_path):
    write_study(tmp_path, TWO, seeds=(0, 1), failed=None, search=())
    table = pd.read_parquet(tmp_path / "table.parquet")
    right = 350 - table["seed"] - (table["arm"] == "rewind") * (table["cycle"] > 0)
    edit(tmp_path, val_last=right / 359)
    found = read_study(tmp_path)
    assert [winner.verdict for winner in headline.winners(found)] == ["undecided", "undecided"]
    assert "At no density is one arm significantly better than all others." in headline.lead(found)
    assert "Significantly worse" not in headline.lead(found)
    assert any("two seeds" in note for note in headline.notes(found))


def test_no_interval_is_written_as_if_it_were_certain(tmp_path):
    write_study(tmp_path, TWO, failed=None, search=())
    edit(tmp_path, test_last=0.9 + 0.0001 * (pd.read_parquet(tmp_path / "table.parquet")["arm"] == "rewind"))
    found = read_study(tmp_path)
    cells = [cell for _, cells in headline.results(found, found.measures[0])[1] for cell in cells]
    assert len(cells) == 6
    assert all("± 0.007 %" in cell for cell in cells)
