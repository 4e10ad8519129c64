"""What the pictures of a report must not hide: intervals that go on, steps of a schedule, numbers on bright cells."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import vl_convert
from made_up_study import write_study
from matplotlib import colors

from lightning_prune.ablation.report import headline, report_command
from lightning_prune.ablation.report.page import TEMPLATES, write_page
from lightning_prune.ablation.report.picture_files import alone
from lightning_prune.ablation.report.pictures import axes, over_density, pareto
from lightning_prune.ablation.report.pictures.cost import draw_cost
from lightning_prune.ablation.report.pictures.differences import draw_differences
from lightning_prune.ablation.report.pictures.layers import draw_layers
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.pictures.shared_work import _ink
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report.canvas import COLORS
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.thinning import thinned
from lightning_prune.lab.report.vega import VEGA_LITE

LABEL = "test/accuracy, last epoch"


def wide(folder: Path) -> Study:
    """Two seeds that differ so much that intervals have no room; the dense network is near 100 %."""
    write_study(folder, {"one": "r", "two": "o"}, seeds=(0, 1), failed=None, search=())
    table = pd.read_parquet(folder / "table.parquet")
    spread = np.where(table["cycle"] == 0, 0.98, 0.9) + 0.01 * table["seed"] + 0.001 * (table["arm"] == "two")
    table.assign(test_last=spread).to_parquet(folder / "table.parquet")
    return read_study(folder)


def rows(picture: Picture) -> list[dict]:
    return [row for row in picture.spec["datasets"]["rows"] if row["measure"] == LABEL]


def drawn(picture: Picture) -> str:
    return vl_convert.vegalite_to_svg(alone(picture), vl_version=VEGA_LITE)


@pytest.mark.parametrize("draw", [over_density.draw_over_density, draw_cost])
def test_an_interval_that_is_cut_has_an_arrow_and_ends_at_100_per_cent(tmp_path, draw):
    picture = draw(wide(tmp_path), LABEL)
    assert max(row["high_shown"] for row in rows(picture)) == 1
    assert {row["cut_low"] for row in rows(picture)} == {True, False}
    assert axes.CUT in picture.caption
    whole = json.loads(json.dumps(picture.spec))
    for row in whole["datasets"]["rows"]:
        row |= {"cut_low": False, "cut_high": False}
    marks = [drawn(replace(picture, spec=spec)).count('opacity="0"') for spec in (picture.spec, whole)]
    seen = [row for row in rows(picture) if row.get("unit") in (None, "epochs") and row.get("cycle") in (None, 1)]
    assert marks[1] - marks[0] == sum(row["cut_low"] + row["cut_high"] for row in seen) > 0


def test_differences_are_cut_with_an_arrow_too(tmp_path):
    study = wide(tmp_path)
    study.table.loc[study.table["arm"] == "two", "test_last"] += np.where(study.table["seed"] == 0, 0, 0.03)[
        study.table["arm"] == "two"
    ]
    picture = draw_differences(study, LABEL, None)
    assert any(row["cut_low"] and row["cut_high"] for row in rows(picture))
    assert all(abs(row["high_shown"]) <= 1 for row in rows(picture))
    assert axes.CUT in picture.caption


def test_no_tick_of_an_accuracy_is_beyond_100_per_cent(tmp_path):
    ticks = re.findall(r">([\d.]+) %</text>", drawn(over_density.draw_over_density(wide(tmp_path), LABEL)))
    assert len(ticks) > 4
    assert max(map(float, ticks)) == 100


@pytest.mark.parametrize("values", [(0.97, 1.0), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.912, 0.987), (0.2, 0.9999)])
def test_the_ends_of_an_axis_hold_the_values_and_are_round(values):
    low, high = axes.limits(values, (0.0, 1.0))
    assert 0 <= low <= min(values) <= max(values) <= high <= 1
    assert high - low >= 0.0099, "one image more or less must not look like a cliff"
    assert high - low <= 2 * (max(values) - min(values)) or high - low <= 0.02, "most of the picture is empty"
    assert all(len(f"{end:g}") <= 5 for end in (low, high))


def test_the_ends_of_an_axis_are_those_of_the_values_without_a_range():
    assert axes.limits([0.31, 2.4, float("nan"), float("inf")]) == [0.0, 2.5]
    assert axes.limits([]) == [0.0, 1.0]


def test_an_axis_stays_where_it_is_if_an_arm_is_hidden(tmp_path):
    picture = over_density.draw_over_density(wide(tmp_path), LABEL)
    spec = json.loads(json.dumps(picture.spec))
    (signal,) = [one for one in spec["params"] if one["name"] == "hidden"]
    signal["value"] = ["two"]
    ticks = [re.findall(r">([\d.]+ %)</text>", drawn(replace(picture, spec=one))) for one in (picture.spec, spec)]
    assert ticks[0] == ticks[1]


def test_a_density_is_written_alike_on_axes_and_in_words(tmp_path):
    write_study(tmp_path, {"one": "rrr"}, failed=None, search=())
    table = pd.read_parquet(tmp_path / "table.parquet")
    table.assign(density=table["cycle"].map({0: 1.0, 1: 0.25, 2: 0.0625, 3: 0.00434})).to_parquet(
        tmp_path / "table.parquet"
    )
    picture = over_density.draw_over_density(read_study(tmp_path), LABEL)
    assert {row["at"] for row in rows(picture)} == {"100.0 %", "25.0 %", "6.2 %", "0.43 %"}
    for words in ("100.0 %", "25.0 %", "0.43 %"):
        assert f">{words}</text>" in drawn(picture)


def stepped(policy: np.ndarray, first: int = 680) -> pd.Series:
    """A dense run in steps, one row per plateau as rates.csv has it, then a rate that changes with every step."""
    dense = pd.Series([0.1, 0.01, 0.001], index=[0, 340, 443])
    return pd.concat([dense, pd.Series(policy, index=np.arange(first, first + len(policy)))])


def test_plateaus_of_the_dense_schedule_stay_beside_a_rate_of_every_step():
    cosine = 0.05 * (1 + np.cos(np.linspace(0, 40 * np.pi, 20_000))) + 1e-4
    curve = stepped(cosine)
    kept = thinned(curve)
    assert len(kept) < 1_500
    assert set(curve.index[:4]) <= set(kept.index)


def test_every_jump_and_plateau_within_cycles_stays():
    """Cycles of a warm-up, a plateau and a drop of ten: rows of very different length."""
    cycle = [*np.linspace(0.001, 0.1, 300), 0.05, 0.005]
    steps = np.concatenate([np.array([*range(300), 500, 700]) + 1000 * number for number in range(30)])
    curve = pd.Series(cycle * 30, index=steps)
    kept = thinned(curve)
    assert len(kept) < 1_800
    for number in range(30):
        assert {1000 * number + 500, 1000 * number + 700} <= set(kept.index)  # the plateaus
        assert {1000 * number + 299, 1000 * number} <= set(kept.index)  # what stands before and after them


def test_a_plateau_that_is_just_wide_enough_to_be_seen_stays():
    """It is neither the first nor the last, the lowest nor the highest of its stretch, and its jumps are not large."""
    starts = 90 * np.arange(333)
    steps = (starts[:, None] + np.array([0, 1, 20, 55, 56])).ravel()
    kept = thinned(pd.Series([0.1, 0.001, 0.05, 0.1, 0.001] * 333, index=steps))
    assert set(starts + 20) <= set(kept.index)


def test_a_smooth_curve_keeps_its_shape():
    steps = np.arange(50_000)
    curve = pd.Series(0.01 + 0.1 * np.sin(steps / 5_000) ** 2, index=steps)
    kept = thinned(curve)
    seen = kept.reindex(steps).ffill()
    assert len(kept) < 1_100
    assert (seen - curve).abs().max() < 0.1 * 160 / 5_000  # what it changes by within three pixels


def luminance(color: str) -> float:
    parts = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colors.to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def in_dark_mode(text: str) -> str:
    """What the page makes of a specification, by the replacements that stand in its script."""
    swaps = re.findall(r"""replaceAll\('("[^']+")', '("[^']+")'\)""", (TEMPLATES / "page.js").read_text())
    assert len(swaps) == 2
    for old, new in swaps:
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def heat_map() -> Picture:
    """Cells over the whole scale, from 0.2 % to all."""
    densities = np.geomspace(0.002, 1, 60)
    cycles = [{"cycle": 1 + n, "first_step": n, "alive": {"w": 1e6 * one, "v": 1e6}} for n, one in enumerate(densities)]
    record = {"cycles": cycles, "pruned": [{"name": name, "weights": 1e6} for name in ("w", "v")], "finished": True}
    run = Run("one", Path(), pd.DataFrame(), record)
    return draw_layers(Study(Path(), {"arms": [{"name": "one"}]}, pd.DataFrame()), {"one": run})


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_numbers_are_read_on_every_cell_of_the_map(heat_map, mode):
    text = json.dumps(alone(heat_map))
    svg = vl_convert.vegalite_to_svg(json.loads(in_dark_mode(text) if mode == "dark" else text), vl_version=VEGA_LITE)
    cells, inks = cells_and_inks(svg)
    assert len(cells) == len(inks) == 120
    assert len(set(cells)) > 50
    assert min(contrast(rgb(cell), ink) for cell, ink in zip(cells, inks, strict=True)) >= 4.5


def cells_and_inks(svg: str) -> tuple[list[str], list[str]]:
    """The color of every cell of a map, and of the number on it."""
    groups = [
        re.search(rf'class="mark-{kind} role-mark[^>]*>(.*?)</g>', svg, re.DOTALL)[1] for kind in ("rect", "text")
    ]
    cells, inks = (re.findall(r'fill="([^"]+)"', group) for group in groups)
    return cells, inks


def rgb(text: str) -> str:
    found = re.findall(r"\d+", text)
    return text if text.startswith("#") else colors.to_hex([int(one) / 255 for one in found[:3]])


def test_an_empty_tensor_is_read_on_the_map():
    cycles = [{"cycle": 1, "first_step": 1, "alive": {"w": 0, "v": 500}}]
    record = {"cycles": cycles, "pruned": [{"name": name, "weights": 1000} for name in ("w", "v")], "finished": True}
    run = Run("one", Path(), pd.DataFrame(), record)
    picture = draw_layers(Study(Path(), {"arms": [{"name": "one"}]}, pd.DataFrame()), {"one": run})
    cells, inks = cells_and_inks(drawn(picture))
    assert (rgb(cells[0]), inks[0]) == ("#fff", "#000")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_epochs_are_read_on_the_box_of_every_arm(mode):
    for color in COLORS:
        pair = json.dumps([color, _ink(color)])
        box, ink = json.loads(in_dark_mode(pair) if mode == "dark" else pair)
        assert contrast(box, ink) >= 4.5, color


@pytest.mark.parametrize("lower", [False, True])
def test_the_pareto_front_is_what_nothing_beats(lower):
    random = np.random.default_rng(0)
    costs, values = random.integers(1, 8, 60).tolist(), random.integers(0, 8, 60).tolist()
    sign = -1 if lower else 1
    found = pareto.front(costs, values, lower)
    for index, kept in enumerate(found):
        beaten = any(
            cost <= costs[index]
            and sign * value >= sign * values[index]
            and ((cost, value) != (costs[index], values[index]) or other < index)
            for other, (cost, value) in enumerate(zip(costs, values, strict=True))
            if other != index
        )
        assert kept == (not beaten)


def test_the_pareto_view_counts_costs_from_the_start(tmp_path):
    write_study(tmp_path, {"one": "rr", "two": "oo"}, failed=None, search=())
    picture = pareto.draw_pareto(read_study(tmp_path), LABEL)
    by_unit = {
        unit: {(row["arm"], row["cycle"]): row["cost"] for row in rows(picture) if row["unit"] == unit}
        for unit in ("weights left", "epochs", "seconds")
    }
    assert by_unit["weights left"]["two", 2] == pytest.approx(0.64)
    assert by_unit["epochs"]["two", 2] == 40, "20 dense epochs and 10 in each cycle, although the arms share some"
    assert by_unit["seconds"]["two", 2] == pytest.approx(36)
    assert pareto.draw_pareto(read_study(write_study(tmp_path / "one", {"one": "r"}, failed=None)), LABEL) is None


def test_pictures_and_tables_open_with_the_measure_that_judges(tmp_path):
    write_study(tmp_path, {"one": "r", "two": "o"}, failed=None, search=())
    study = read_study(tmp_path)
    judged = headline.judged_by(study).label
    chosen = {
        choice.chosen
        for picture in report_command.draw(study, headline.default_label(study))
        for choice in picture.choices
        if choice.signal == "measure"
    }
    assert chosen == {judged} == {"val/accuracy, last epoch"}
    over = [report_command.draw_over_density(study, judged)]
    assert f"The same as numbers: {judged}" in write_page(tmp_path / "index.html", study, over).read_text()
