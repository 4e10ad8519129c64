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

from lightning_prune.ablation.report.page import TEMPLATES
from lightning_prune.ablation.report.picture_files import alone
from lightning_prune.ablation.report.pictures import axes, over_density
from lightning_prune.ablation.report.pictures.cost import draw_cost
from lightning_prune.ablation.report.pictures.differences import draw_differences
from lightning_prune.ablation.report.pictures.layers import draw_layers
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.pictures.shared_work import _ink
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.lab.report import pictures, vega
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


def test_numbers_are_read_on_the_map_of_a_run(tmp_path, monkeypatch):
    drawings = []
    monkeypatch.setattr(vega, "png_of", lambda svg: drawings.append(svg) or b"")
    densities = [0.0, *np.geomspace(0.002, 1, 60)]
    pictures.density_per_layer(tmp_path / "map.png", pd.DataFrame([densities], index=["w"]))
    cells, inks = cells_and_inks(drawings[0])
    assert len(cells) == len(inks) == 61
    assert (rgb(cells[0]), inks[0]) == ("#fff", "#000")  # nothing is left of the tensor
    assert min(contrast(rgb(cell), ink) for cell, ink in zip(cells, inks, strict=True)) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_epochs_are_read_on_the_box_of_every_arm(mode):
    for color in COLORS:
        pair = json.dumps([color, _ink(color)])
        box, ink = json.loads(in_dark_mode(pair) if mode == "dark" else pair)
        assert contrast(box, ink) >= 4.5, color
