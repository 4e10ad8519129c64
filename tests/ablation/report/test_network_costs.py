"""What networks cost to use, as axes of the Pareto view: compression, theoretical speed-up, and measured time."""

import json

import pytest
from made_up_study import LAYERS, write_study

from lightning_prune.ablation.report import report_command
from lightning_prune.ablation.report.network_costs import COMPRESSION, LATENCY, SPEEDUP, network_costs
from lightning_prune.ablation.report.pictures.pareto import draw_pareto
from lightning_prune.ablation.report.read_study import read_study

LABEL = "test/accuracy, last epoch"
MODEL = sum(LAYERS.values()) + 1000  # with weights that nobody prunes


@pytest.fixture
def study(tmp_path):
    """Two arms of two cycles. All runs count their weights, one counts operations, and one was profiled."""
    write_study(tmp_path, {"one": "rr", "two": "oo"}, failed=None, search=())
    for path in tmp_path.glob("nodes/*/pruning.json"):
        record = json.loads(path.read_text())
        record |= {"model_weights": MODEL, "prunable_weights": sum(LAYERS.values())}
        for entry in record["cycles"]:
            if "-o" in path.parent.name:
                entry["flops"] = [1000, 1000 // 2 ** entry["cycle"]]
        path.write_text(json.dumps(record))
    profile = tmp_path / "nodes/0-oo/profile/profile.json"
    profile.parent.mkdir()
    profile.write_text(json.dumps({"timings": [{"this": {"minimum": 0.004}}, {"this": {"minimum": 0.1}}]}))
    return read_study(tmp_path)


def test_costs_are_those_that_the_runs_have_written(study):
    runs, _ = report_command.first_runs(study)
    found = {
        unit: {(row.arm, row.cycle): row.cost for row in frame.itertuples()}
        for unit, frame in network_costs(runs).items()
    }
    alive = sum(int(size * 0.8 ** (2 * power)) for size, power in zip(LAYERS.values(), (1.02, 1.0, 0.4), strict=True))
    assert found[COMPRESSION]["one", 2] == pytest.approx(MODEL / (alive + 1000))
    assert set(found[COMPRESSION]) == {(arm, cycle) for arm in ("one", "two") for cycle in (1, 2)}
    assert found[SPEEDUP] == {("two", 1): 2, ("two", 2): 4}
    assert found[LATENCY] == {("two", 2): 4.0}


def test_the_pareto_view_has_an_axis_for_each_and_knows_where_more_is_better(study):
    picture = draw_pareto(study, LABEL, report_command.first_runs(study)[0])
    (units,) = [one.values for one in picture.choices if one.signal == "unit"]
    assert list(units) == ["weights left", "epochs", "seconds", COMPRESSION, SPEEDUP, LATENCY]
    rows = [row for row in picture.spec["datasets"]["rows"] if row["unit"] == COMPRESSION and row["measure"] == LABEL]
    best = max(rows, key=lambda row: (row["cost"], row["mean"]))
    assert best["front"], "nothing is smaller"
    for row in rows:
        beaten = any(other["cost"] >= row["cost"] and other["mean"] > row["mean"] for other in rows)
        assert not (row["front"] and beaten)


def test_runs_that_wrote_none_of_it_have_no_such_axes(tmp_path):
    study = read_study(write_study(tmp_path, {"one": "r", "two": "o"}, failed=None, search=()))
    assert network_costs(report_command.first_runs(study)[0]) == {}


def test_a_damaged_profile_is_left_out(study):
    (study.folder / "nodes/0-oo/profile/profile.json").write_text("{")
    assert LATENCY not in network_costs(report_command.first_runs(study)[0])


def test_the_page_is_written_with_these_axes(study):
    page = report_command.report_study(study.folder)
    assert SPEEDUP in page.read_text()
    assert (study.folder / "report" / "pareto.png").is_file()
