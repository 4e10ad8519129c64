"""A study of many arms: verdicts as pair by pair, and a page that stays small."""

import json
import math
import re

import pandas as pd
import pytest
from made_up_study import write_study

from lightning_prune.ablation.report import report_command
from lightning_prune.ablation.report.pictures.differences import PAIRS, draw_differences
from lightning_prune.ablation.report.pictures.packed_rows import packed, unpacked
from lightning_prune.ablation.report.pictures.some_arms import some_arms
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.results.comparison import best, compare

PLANS = ["rrr", "ooo", "oor", "fff", "ocs"]
COLUMN = "val_last"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    found = read_study(write_study(folder / "study", {f"arm {plan}": plan for plan in PLANS}, search=()))
    found.table.loc[found.table.index[::17], COLUMN] = float("nan")  # some arms lack a seed somewhere
    return found


def test_the_rivals_of_the_best_arm_are_those_of_every_pair(study):
    for row in best(study.table, COLUMN).to_dict("records"):
        others = [arm for arm in study.arms if arm != row["arm"]]
        expected = []
        for other in others:
            pair = compare(study.table, row["arm"], other, COLUMN, cycle=row["cycle"])
            known = study.table[(study.table["arm"] == other) & (study.table["cycle"] == row["cycle"])][COLUMN].notna()
            if known.any() and (pair["verdict"] != row["arm"]).all():
                expected.append(other)
        assert sorted(row["rivals"]) == sorted(expected)


def test_the_picture_of_differences_is_that_of_every_pair(study):
    label = next(measure.label for measure in study.measures if measure.column == COLUMN)
    rows = draw_differences(study, label, None).spec["datasets"]["rows"]
    drawn = {(row["arm"], row["reference"], row["at"]): row for row in rows if row["measure"] == label}
    count = 0
    for a in study.arms:
        for b in study.arms:
            for pair in compare(study.table, a, b, COLUMN).to_dict("records") if a != b else ():
                key = (a, b, f"{100 * pair['density_a']:.1f} %")
                if pair["seeds"]:
                    assert math.isclose(drawn[key]["difference"], pair["difference"], abs_tol=1e-12)
                    assert drawn[key]["better"] == pair["verdict"]
                    count += 1
    assert count == len(drawn)


def test_of_many_arms_some_can_be_chosen_and_the_best_are_among_them(study, monkeypatch):
    monkeypatch.setattr("lightning_prune.ablation.report.pictures.differences.PAIRS", 15)
    label = next(measure.label for measure in study.measures if measure.column == COLUMN)
    for wanted in (None, "arm ocs"):
        picture = draw_differences(study, label, wanted)
        (choice,) = [one for one in picture.choices if one.signal == "reference"]
        assert len(choice.values) == 3
        assert choice.chosen in choice.values
        assert {row["reference"] for row in picture.spec["datasets"]["rows"]} == set(choice.values)
        assert "There are 3 of 5 arms here" in picture.missing
        assert wanted is None or choice.chosen == wanted
    winner = best(study.table, COLUMN).iloc[1]["arm"]
    assert winner in some_arms(study, study.arms, 3)
    assert some_arms(study, study.arms, 5) == study.arms
    assert PAIRS >= 17 * 17


@pytest.mark.slow
def test_a_page_grows_in_proportion_to_the_arms(tmp_path):
    sizes = []
    for count in (20, 40, 60):
        plans = [f"{first}{second}{third}rr" for first in "rosfc" for second in "rosf" for third in "ros"][:count]
        folder = write_study(tmp_path / str(count), {f"arm {plan}": plan for plan in plans}, search=(), failed=None)
        page = report_command.report_study(folder)
        sizes.append(len(page.read_text()))
    assert sizes[2] - sizes[1] < 1.2 * (sizes[1] - sizes[0])


def test_packed_rows_are_the_rows_with_six_digits(study):
    label = study.measures[0].label
    for picture in report_command.draw(study, label):
        if picture.spec is not None:
            spec = json.loads(json.dumps(picture.spec))
            again = unpacked(json.loads(json.dumps(packed(spec))))
            before, after = (pd.DataFrame(one["datasets"]["rows"]) for one in (spec, again))
            assert [list(row) for row in spec["datasets"]["rows"]] == [list(row) for row in again["datasets"]["rows"]]
            pd.testing.assert_frame_equal(before, after, rtol=1e-5, atol=0, check_dtype=False)


def test_the_page_holds_packed_rows_and_the_script_to_unpack_them(tmp_path):
    folder = write_study(tmp_path / "study", {"one": "rr", "two": "oo"}, search=(), failed=None)
    text = report_command.report_study(folder).read_text()
    found = json.loads(re.search(r'id="pictures">(.*?)</script>', text, re.DOTALL).group(1))
    assert {"names", "columns"} == set(found[0]["spec"]["datasets"]["rows"][0])
    assert "spec.datasets.rows.flatMap(unpacked)" in text
