"""Every config of configs/regimes trains, prunes, retrains and measures, with its numbers made small."""

from pathlib import Path

import numpy
import pytest
import yaml
from PIL import Image

from benchmarks.claims.studies import in_folders
from lightning_prune.regimes.study import RegimeStudy
from lightning_prune.regimes.study.rewind_points import run_stability
from lightning_prune.regimes.study.temperatures import EPOCHS

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[2] / "configs" / "regimes").glob("*.yaml"))}


def images_in(folder):
    """Generated images in folders, in place of those that a config would download."""
    draw = numpy.random.default_rng(0)
    for part, count in (("train", 8), ("test", 2)):
        for kind in "abcdefghij":
            (folder / part / kind).mkdir(parents=True)
            for index in range(count):
                image = draw.integers(256, size=(32, 32, 3), dtype=numpy.uint8)
                Image.fromarray(image).save(folder / part / kind / f"{index}.png")
    return folder


def in_small(path, tmp_path):
    """The study with two temperatures, one density, one seed, and runs of one batch an epoch."""
    study = yaml.safe_load(path.read_text())
    base = study["base"]
    base["trainer"] |= {"max_epochs": 2, "limit_train_batches": 1, "limit_test_batches": 1, "accelerator": "cpu"}
    base["model"]["init_args"]["scheduler"]["init_args"]["milestones"] = [1]
    data = base["data"]
    if data["class_path"] != "Digits":
        given = {"init_args": {"batch_size": data["init_args"]["batch_size"], "validation": 0.2}}
        base["data"] = in_folders(given, str(images_in(tmp_path / "images")), tmp_path / "cache")
    study |= {"seeds": [0], "copies": 2, "points": 3}
    if "at" in study:
        return {**study, "at": ["0ep", "1ep"]}
    (first, values), *_ = study["temperatures"].items()
    if isinstance(values, list):
        study["temperatures"] = {first: [1, 2] if first == EPOCHS else values[:2]}
    else:
        study["temperatures"] = {name: _short(changes) for name, changes in study["temperatures"].items()}
    if "pruning.retrain" in study.get("retrain", {}):
        study["retrain"] |= {"pruning.retrain": "1ep"}
    return {**study, "densities": study["densities"][:1]}


def _short(changes):
    shorter = {"trainer.max_epochs": 1, "model.scheduler.milestones": [1]}
    return {name: shorter.get(name, value) for name, value in changes.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_regimes_runs_in_small(name, tmp_path):
    config = in_small(CONFIGS[name], tmp_path)
    out = tmp_path / "out"
    if "at" in config:
        assert run_stability(config, out, workers=0).points["point"].tolist() == ["0ep", "1ep"]
        return
    table = RegimeStudy.from_config(config).run(out, workers=0)
    assert len(table) == len(RegimeStudy.from_config(config).config.temperatures)
    assert table[["lmc", "cka", "error", "train_error"]].notna().all(axis=None)
    assert (out / "report" / "index.html").is_file()
