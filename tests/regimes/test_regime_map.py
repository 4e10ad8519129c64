"""The map of a study: regimes, borders, the choice and its gain, the page and the advice, on the maps of the paper."""

import pandas as pd
import pytest
from test_advice import MAP, cells

from lightning_prune import Advice, UserError, advise, choose
from lightning_prune.cli import main
from lightning_prune.regimes.study.maps import borders_of, draw_maps
from lightning_prune.regimes.study.regime_map import RegimeMap
from lightning_prune.regimes.study.run_regimes import advice


def zhou(seeds=1):
    """The published map as the table of a study. Another seed has other errors, and the same means."""
    table = pd.read_csv(MAP)
    table = table.assign(temperature=[f"{one} epochs" for one in table["epochs"]], val_error=table["error"])
    table = table.assign(copy_a=1, copy_b=2, at=0.5, train_error=0.0)
    shifts = {1: [0.0], 2: [-0.01, 0.01]}[seeds]
    return RegimeMap(
        "zhou", pd.concat([table.assign(seed=seed, lmc=table["lmc"] + shift) for seed, shift in enumerate(shifts)])
    )


def test_a_cell_has_the_regime_that_advise_gives():
    known = {(one.density, f"{one.temperature} epochs"): one for one in cells()}
    found = zhou().cells
    assert len(found) == len(known)
    for row in found.to_dict("records"):
        family = [one for one in known.values() if one.density == row["density"]]
        assert row["regime"] == advise(known[row["density"], row["temperature"]], family).regime
        assert row["is_chosen"] == (f"{choose(family).temperature} epochs" == row["temperature"])


def test_seeds_are_averaged_and_their_spread_is_known():
    one, two = zhou().cells, zhou(2).cells
    assert two["lmc"].tolist() == pytest.approx(one["lmc"].tolist())
    assert two["spread"].tolist() == pytest.approx([0.01] * len(two))  # the standard error of -0.01 and 0.01
    assert set(two["seeds"]) == {2}


def test_the_best_and_the_chosen_network_and_what_the_choice_gains():
    best = zhou(2).best.set_index("density")
    assert best.loc[0.06, "best"] == "80 epochs"
    assert best.loc[0.06, "last"] == "160 epochs"
    assert best.loc[0.06, "gain"] == pytest.approx(best.loc[0.06, "error_chosen"] - best.loc[0.06, "error_last"])
    assert best.loc[0.06, "gain"] < -0.025
    assert (best["error_chosen"] - best["error_best"]).max() <= 0.0065


def test_a_choice_of_copies_that_have_not_learned_is_pointed_out_on_the_page_and_by_the_command(tmp_path):
    pairs = zhou().pairs
    chosen = (pairs["density"] == 0.06) & (pairs["temperature"] == "80 epochs")
    found = RegimeMap("zhou", pairs.assign(train_error=pairs["train_error"].mask(chosen, 0.76)))
    sentence = found.sentences()[1]
    assert "The copies of 80 epochs have a training error of 76.0 %, and those of 10 epochs have 0.0 %" in sentence
    assert not [one for one in found.sentences() if one != sentence and "training error" in one]
    found.write(tmp_path)
    first, second = advice(tmp_path, density=0.06)
    assert first.startswith("Prune the network of 80 epochs. The copies of 80 epochs have a training error of 76.0 %")
    assert "training error" not in second  # it is about the last temperature
    assert advice(tmp_path, density=0.4)[0].endswith("epochs.")


def test_advice_comes_from_the_map_from_a_study_and_in_words():
    found = zhou()
    assert found.advise(0.06).direction == "raise"
    assert found.advise(0.4, "10 epochs").direction == "lower"
    assert isinstance(advise(found, density=0.06), Advice)
    assert advise(found, density=0.06, tolerance=1.0).regime != "I"
    said = found.sentences()
    assert "At density 0.06: prune the network of 80 epochs" in said[1]
    assert "regime I, clearly: raise the temperature" in said[1]
    assert "reconstructed" in said[-1]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda found: found.advise(0.3), "There are 0.05"),
        (lambda found: found.advise(0.06, "7 epochs"), "'10 epochs'"),
        (lambda found: advise(found), "density"),
    ],
)
def test_what_was_not_measured_is_refused(ask, said):
    with pytest.raises(UserError, match=said):
        ask(zhou())


def test_borders_lie_between_cells_of_other_regimes_only():
    regimes = {(0, 0): "I", (1, 0): "II-B", (0, 1): "I", (1, 1): "I"}
    assert borders_of(regimes) == [
        {"x": 0.5, "x2": 0.5, "y": -0.5, "y2": 0.5},
        {"x": 0.5, "x2": 1.5, "y": 0.5, "y2": 0.5},
    ]


def test_the_maps_show_every_cell_with_its_regime():
    maps = {one.name: one.spec for one in draw_maps(zhou().cells)}
    assert list(maps) == ["error", "lmc", "cka"]
    rows = [row for row in maps["lmc"]["datasets"]["rows"] if not row["is_border"]]
    assert len(rows) < len(maps["lmc"]["datasets"]["rows"])
    assert len(rows) == 16 * 9
    assert {row["regime"] for row in rows} == {"I", "II-A", "II-B"}


def test_what_stands_on_a_tile_can_be_read():
    maps = {one.name: one.spec["datasets"]["rows"][: 16 * 9] for one in draw_maps(zhou().cells)}
    for name, darkest in (("error", max), ("lmc", min), ("cka", min)):  # orange grows darker, viridis lighter
        dark = [row[name] for row in maps[name] if row["is_dark"]]
        light = [row[name] for row in maps[name] if not row["is_dark"]]
        assert darkest(dark + light) in dark
        assert set(dark).isdisjoint(light)
    alike = draw_maps(zhou().cells.assign(cka=1.0))[2].spec["datasets"]["rows"][: 16 * 9]
    assert not any(row["is_dark"] for row in alike)


def test_noise_does_not_look_like_a_regime():
    """Colors span at least what tells networks apart: 0.1 of LMC, and 0.05 of CKA."""
    quiet = zhou().cells.assign(lmc=[-0.001, 0.0] * 72, cka=[0.999, 1.0] * 72)
    for one, least in zip(draw_maps(quiet)[1:], ([-0.1, 0.0], [0.95, 1.0]), strict=True):
        assert one.spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == least


def test_files_are_written_and_read_back_and_the_command_says_the_advice(tmp_path, capsys):
    page = zhou().write(tmp_path)
    assert {one.name for one in page.parent.iterdir()} == {
        "index.html", *(f"{name}.{kind}" for name in ("error", "lmc", "cka") for kind in ("png", "svg")),
    }  # fmt: skip
    text = page.read_text()
    assert text.index("prune the network of 80 epochs") < text.index("<svg")
    back = RegimeMap.read(tmp_path)
    assert back.cells.equals(zhou().cells)
    main(["regimes", "--advise", str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == zhou().sentences()
    main(["regimes", "--advise", str(tmp_path), "--density", "0.06", "--temperature", "10 epochs"])
    assert "Regime II-A at density 0.06" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["regimes", "--advise", str(tmp_path / "nothing")])
    assert "Run it first" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["regimes"])
    assert "--config STUDY" in capsys.readouterr().err
