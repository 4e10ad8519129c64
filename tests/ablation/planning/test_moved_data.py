"""Data that lie elsewhere are the same data: a study that moved with its images is the study that it was."""

import shutil

import pytest
from PIL import Image
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.lab import CIFAR10, CIFAR100
from lightning_prune.lab.data import docstrings as texts_of_package

CLASSIFIER = {"class_path": "lightning_prune.lab.Classifier", "init_args": {"network": "lightning_prune.lab.ResNet"}}


def key_of(data: str, **arguments) -> str:
    """The key of the dense node."""
    base = {"data": {"class_path": f"lightning_prune.lab.{data}", "init_args": arguments}, "model": CLASSIFIER}
    config = study({"a": {}})
    return Ablation.from_config({**config, "base": {**config["base"], **base}}).runs[0].nodes()[0].key


@pytest.fixture
def tree(tmp_path):
    for part, count in (("train", 6), ("test", 2)):
        for index in range(count):
            path = tmp_path / "one" / part / ("cat", "dog")[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (index, 2 * index, 9 - index)).save(path)
    return tmp_path / "one"


def folders(root, **arguments) -> str:
    return key_of("ImageFolders", root=str(root), image_size=8, **arguments)


def test_images_may_move_and_be_cached_anywhere(tree, tmp_path):
    here = folders(tree)
    moved = shutil.copytree(tree, tmp_path / "other" / "name")
    assert folders(moved) == here
    assert folders(moved, cache=str(tmp_path / "cache")) == here
    assert folders(moved, cache=str(tmp_path / "cache")) == here, "also once the images are cached"


@pytest.mark.parametrize("change", ["a byte", "an image more", "another class", "a name that sorts elsewhere"])
def test_other_images_are_other_data(tree, change):
    here = folders(tree)
    first = tree / "train" / "cat" / "0.png"
    if change == "a byte":  # of as many: neither the name tells nor the size
        first.write_bytes(first.read_bytes()[:-1] + b"x")
    elif change == "an image more":
        shutil.copy(first, first.with_name("1.png"))
    elif change == "another class":
        first.rename(tree / "train" / "dog" / "0.png")
    else:
        first.rename(first.with_name("9.png"))
    assert folders(tree) != here


def test_the_division_of_the_images_counts(tree):
    assert len({folders(tree), folders(tree, seed=1), folders(tree, validation=0.5), folders(tree, subset=2)}) == 4


@pytest.mark.parametrize(("one", "other"), [("CIFAR10", "CIFAR100")])
def test_there_is_one_cifar_wherever_it_lies(one, other, tmp_path):
    here = key_of(one, root="here", download=False)
    assert key_of(one, root=str(tmp_path), download=False) == here
    assert key_of(other, root="here", download=False) != here
    assert key_of(one, root="here", download=False, subset=100) != here
    assert CIFAR10().fingerprint() != CIFAR100().fingerprint()


def test_the_text_of_another_version_is_other_data(monkeypatch):
    monkeypatch.setattr(texts_of_package, "docstrings", lambda: ("The mask of a weight.",))
    here = key_of("Docstrings", length=8)
    assert key_of("Docstrings", length=8) == here
    monkeypatch.setattr(texts_of_package, "docstrings", lambda: ("The masks of a weight.",))
    assert key_of("Docstrings", length=8) != here
