"""The images of a study: those at hand in the place of torchvision's, and nothing else of it changed."""

import pytest
from study_files import ROOT, STUDIES

from benchmarks.claims import studies
from lightning_prune.lab import CIFAR10, ImageFolders

pytestmark = pytest.mark.usefixtures("in_the_repository")
OF_FOLDERS = [one for one in STUDIES if one[1].endswith("_plateau")]
OF_OTHERS = [one for one in STUDIES if "_digits" in one[1] or one[1].endswith(("_text", "_resnet8small"))]
OF_CIFAR = [one for one in STUDIES if one not in (*OF_FOLDERS, *OF_OTHERS)]
SHARED = ("batch_size", "validation", "seed", "subset", "on_device", "augmentation")


def attributes(data) -> dict:
    return {name: getattr(data, name) for name in SHARED if hasattr(data, name)}


@pytest.mark.parametrize(("size", "name"), OF_CIFAR)
def test_an_image_folder_is_read_as_cifar_would_be(size, name, tmp_path):
    plain = studies.read(name, size, None, tmp_path)
    given = studies.read(name, size, "pictures", tmp_path / "images")
    data = given["base"]["data"]
    assert plain["base"]["data"]["class_path"] == "CIFAR10"
    assert data["class_path"] == "lightning_prune.lab.ImageFolders"
    folders, cifar = ImageFolders(**data["init_args"]), CIFAR10(**plain["base"]["data"]["init_args"])
    assert attributes(folders) == attributes(cifar)
    assert {"batch_size", "validation", "subset", "on_device"} <= set(attributes(folders))
    assert (str(folders.root), folders.cache) == ("pictures", str(tmp_path / "images"))
    assert (tuple(folders.mean), tuple(folders.std)) == (CIFAR10.constants.mean, CIFAR10.constants.std)
    assert {**plain["base"], "data": data} == given["base"]
    assert {**plain, "base": given["base"]} == given


@pytest.mark.parametrize(("size", "name"), OF_FOLDERS)
def test_an_image_folder_replaces_the_one_in_the_config(size, name, tmp_path):
    plain = studies.read(name, size, None, tmp_path)["base"]["data"]["init_args"]
    given = studies.read(name, size, "pictures", tmp_path / "images")["base"]["data"]["init_args"]
    assert given["root"] == "pictures"
    assert {**plain, **{key: given[key] for key in ("root", "cache", "mean", "std")}} == given


@pytest.mark.parametrize(("size", "name"), OF_OTHERS)
def test_digits_and_texts_stay_what_they_are(size, name, tmp_path):
    assert studies.read(name, size, "pictures", tmp_path) == studies.read(name, size, None, tmp_path)


def test_a_study_has_the_name_of_its_file_and_its_base_in_it(tmp_path):
    given = studies.read("rewinding_resnet8", "cpu", None, tmp_path)
    assert given["name"] == "rewinding_resnet8"
    assert given["base"]["model"]["init_args"]["network"]["init_args"] == {"depth": 8}
    assert (ROOT / studies.config_of("rewinding_resnet8", "cpu")).is_file()
