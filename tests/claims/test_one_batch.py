"""Every study runs as it is written, with one batch an epoch, on the CPU, on images in a folder."""

from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from study_files import STUDIES

from benchmarks.claims import studies
from lightning_prune.ablation import Ablation

pytestmark = pytest.mark.usefixtures("in_the_repository")
DEEP = ("resnet56", "wide16")  # a few of their arms take as long as all of the others
MANY = [one for one in STUDIES if not one[1].endswith("digits")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Ten classes of 32x32 images."""
    root, generator = tmp_path_factory.mktemp("pictures"), numpy.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for label in range(10):
            folder = root / part / f"class {label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=numpy.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def one_batch(name: str, size: str, pictures: Path, cache: Path) -> dict[str, Any]:
    """A study with a batch of two images in every epoch, one seed, and nothing else changed."""
    given = studies.read(name, size, str(pictures), cache)
    limits = {"limit_train_batches": 1, "limit_val_batches": 1, "limit_test_batches": 1}
    given["base"]["trainer"] |= {**limits, "accelerator": "cpu"}
    of_text = given["base"]["data"]["class_path"] == "Docstrings"
    few = {"subset": 40, "held_out": 4} if of_text else {"validation": 0.1, "subset": None}
    if of_text:  # its retraining goes by steps, and replays that many of the dense run
        given["base"]["trainer"]["limit_train_batches"] = 20
    given["base"]["data"]["init_args"] |= {"batch_size": 2, **few}
    for changes in given["arms"].values():
        start = changes.get("start")
        if isinstance(start, dict) and str(start.get("init_args", {}).get("to")).endswith("it"):
            start["init_args"]["to"] = "1it"  # of hundreds: there is one in an epoch
    return {**given, "seeds": [0]}


def run(given: dict[str, Any], out: Path) -> None:
    frame = Ablation.from_config(given).run(out, workers=0)
    assert frame["error"].dropna().tolist() == []
    assert numpy.isfinite(
        frame.groupby("arm")["test_last"].last()
    ).all()  # arms that go by steps are tested at their end
    asked = Ablation.from_config(given).config.arms
    assert list(frame["arm"].drop_duplicates()) == [arm.name for arm in asked]
    left = frame.groupby("arm")["density"].min()
    assert list(left.index[left == 1]) == [arm for arm in left.index if "unpruned" in arm]


def test_an_arm_of_the_gpu_size_runs_on_images_that_stay_on_the_device(pictures, tmp_path):
    given = one_batch("rewinding_resnet20", "full", pictures, tmp_path / "images")
    given["base"]["trainer"]["max_epochs"] = 2
    given["base"]["pruning"]["retrain"] = "1ep"
    given["arms"] = {"fine-tuning, one-shot": given["arms"]["fine-tuning, one-shot"]}
    assert given["base"]["data"]["init_args"]["on_device"] is True
    run(given, tmp_path / "study")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*leaves no weight alive", "ignore:.*sparsity=OneShot.final=0.0")
@pytest.mark.parametrize(("size", "name"), MANY)
def test_every_arm_of_a_study_runs(size, name, pictures, tmp_path):
    given = one_batch(name, size, pictures, tmp_path / "images")
    if name.endswith(DEEP):
        first, *_, last = given["arms"]
        given["arms"] = {arm: given["arms"][arm] for arm in (first, last)}
        if "grid" in given:
            given["grid"] = {key: values[:1] for key, values in given["grid"].items()}
    run(given, tmp_path / "study")
