"""What docs/studies/ablations.md says about comparing variants holds for what it shows."""

import re
from pathlib import Path

import pytest
from generated_images import generate_images
from studies import study

import lightning_prune
from lightning_prune.ablation import Ablation

ROOT = Path(lightning_prune.__file__).parents[1]
PAGE = (ROOT / "docs" / "studies" / "ablations.md").read_text()


def block(language, word):
    return next(one for one in re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL) if word in one)


def test_the_study_it_shows_can_be_laid_out(tmp_path):
    text = block("yaml", "arms:")
    assert "base: ../digits/fine_tune.yaml" in text
    config = tmp_path / "study.yaml"
    config.write_text(text.replace("../digits", str(ROOT / "configs" / "digits")))
    shown = Ablation.from_config(config)
    assert [arm.name for arm in shown.config.arms] == [
        "fine-tuning",
        "LR rewinding",
        "weight rewinding",
        "random",
        "one-cycle retrain=5ep",
        "one-cycle retrain=15ep",
        "oracle",
    ]
    shared, alone = shown.epochs
    assert alone - shared == 3 * 6 * 30  # six of seven dense runs of each seed
    assert len({run.nodes()[0].key for run in shown.runs}) == 3


def test_its_python_runs(tmp_path, monkeypatch):
    text = block("python", "Ablation")
    assert 'from_config("configs/ablations/digits_retraining.yaml")' in text
    assert "workers=2" in text
    monkeypatch.chdir(tmp_path)
    small = study({"LR rewinding": {"callbacks": "LRRewind", "retrain": None}, "fine-tuning": {}}, seeds=2)
    text = text.replace('"configs/ablations/digits_retraining.yaml"', "small").replace("workers=2", "workers=0")
    names = {"small": small}
    exec(text, names)
    assert names["frame"].groupby(["arm", "seed"]).size().tolist() == [3, 3, 3, 3]
    assert (tmp_path / "runs" / "ablation" / "table.parquet").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_in_configs_can_be_laid_out(path, monkeypatch):
    generate_images(monkeypatch)
    shared, alone = Ablation.from_config(path).epochs
    assert 0 < shared < alone
