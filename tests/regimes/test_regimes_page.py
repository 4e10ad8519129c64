"""The page about the regimes is true: its Python runs, and its figures are those of the map."""

import re
from pathlib import Path

import pytest
import yaml
from test_advice import at_stake, is_right, share
from test_regime_study import CONFIG
from toys import Images, fit, toy

import lightning_prune
from lightning_prune import IterativePruning
from lightning_prune.regimes.study.regime_study import RegimeStudy
from lightning_prune.regimes.study.rewind_points import read_stability

PAGE = (Path(lightning_prune.__file__).parents[1] / "docs" / "regimes.md").read_text()
MEASURE, CHOOSE, STUDY, STABILITY, OPTIMIZE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
QUIET = "enable_progress_bar=False, logger=False, enable_checkpointing=False, accelerator='cpu', "


@pytest.mark.filterwarnings("ignore:DenseScheduleRestart")
def test_two_copies_are_retrained_in_other_orders_and_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit([IterativePruning(cycles=0)], toy(), Images(shuffle=True)).save_checkpoint("dense.ckpt")
    code = MEASURE.replace('"160ep"', '"2ep"').replace("max_epochs=0, ", f"max_epochs=0, {QUIET}")
    data = Images(shuffle=True)
    names = {"MyModule": toy, "data": data, "plain_training_data": Images()}
    exec(code, names)
    assert capsys.readouterr().out.splitlines()[-1].startswith("Regime ")
    first, second = names["retrained"](1), names["retrained"](2)
    assert lightning_prune.weight_distance(first, second) > 0.01
    assert lightning_prune.weight_distance(first, names["retrained"](1)) == 0
    dead = [one == 0 for one in first.parameters()]
    assert all(bool((a == (b == 0)).all()) for a, b in zip(dead, second.parameters(), strict=True) if a.any())


def test_the_choice_prints_what_it_says(capsys):
    exec(CHOOSE, {"lp": lightning_prune})
    printed = capsys.readouterr().out.splitlines()
    assert printed == [line.split("#")[1].strip() for line in CHOOSE.splitlines() if "#" in line]


def test_the_optimizer_is_made_as_it_says():
    names = {"lp": lightning_prune}
    exec(OPTIMIZE, names)
    assert names["configure_optimizers"](toy()).base.param_groups[0]["momentum"] == 0.9


def test_the_study_on_the_page_is_one(in_the_repository):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    study = RegimeStudy.from_config(yaml.safe_load(text.replace("../", "configs/")))
    assert study.plan() == "3 dense runs, 54 retrained copies, 27 pairs to measure."
    for config in sorted(Path("configs/regimes").glob("*.yaml")):
        if not config.stem.endswith("stability"):
            assert RegimeStudy.from_config(config).config.temperatures
        assert "at" not in yaml.safe_load(config.read_text()) or read_stability(config)[0]["at"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_study_and_the_points_of_a_run_are_measured_as_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("base.yaml").write_text(yaml.safe_dump(CONFIG["base"]))
    study = STUDY.replace("configs/regimes/digits.yaml", "small.yaml").replace("workers=2", "workers=0")
    exec(study, {"lp": lightning_prune})
    assert "at density 0.1" in capsys.readouterr().out
    points = STABILITY.replace("digits/fine_tune", "base.yaml").replace("workers=2", "workers=0")
    exec(points.replace('["0ep", "1ep", "3ep", "10ep"]', '["1ep"]').replace("seeds=3", "seeds=1"), {})
    assert "1ep: " in capsys.readouterr().out


def test_the_figures_are_those_of_the_map():
    for tolerance, figure in ((0.1, "98.5 %"), (0.05, "94 %"), (0.2, "94 %"), (0.01, "78 %")):
        found = 100 * share(is_right(cell, row, tolerance) for cell, row in at_stake(0.5))
        assert f"{found:.1f} %" == figure or f"{found:.0f} %" == figure
        assert figure in PAGE
