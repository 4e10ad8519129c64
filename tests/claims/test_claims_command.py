"""The arguments of `make claims`: which studies they choose, and what is refused before anything is trained."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from study_files import ROOT, SIZES, STUDIES

from benchmarks.claims import __main__ as program

pytestmark = pytest.mark.usefixtures("in_the_repository")


@pytest.fixture
def pictures(tmp_path) -> Path:
    for part in ("train", "test"):
        (tmp_path / "my pictures" / part).mkdir(parents=True)
    return tmp_path / "my pictures"


def chosen(monkeypatch, tmp_path, *arguments: str) -> list[tuple[str, str]]:
    """The studies that would be trained."""
    trained = []
    monkeypatch.setattr(program, "run", lambda name, size, options, console: trained.append((size, name)))
    with pytest.raises(SystemExit, match="Nothing was measured"):
        program.main(program.parse([*arguments, "--page", str(tmp_path / "claims.md")]))
    assert not (tmp_path / "claims.md").exists()
    return trained


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arguments", [(), ("--claim",)])
def test_without_a_claim_every_study_of_the_size_is_trained_once(monkeypatch, tmp_path, size, arguments):
    trained = chosen(monkeypatch, tmp_path, *arguments, *(["--full"] if size == "full" else []))
    assert sorted(trained) == [one for one in STUDIES if one[0] == size]


def test_a_claim_chooses_its_studies_and_what_two_share_is_trained_once(monkeypatch, tmp_path):
    assert chosen(monkeypatch, tmp_path, "--claim", "6") == [("cpu", "restarts_wide")]
    both = chosen(monkeypatch, tmp_path, "--claim", "2", "7", "--full")
    assert both == [("full", "budgets_resnet20"), ("full", "budgets_resnet56")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--claim", "99"], r"argument --claim: invalid choice: 99"),
        (["--data", "no such"], r"--data no such: there is no folder `train` in it. Give the top of an image-folder"),
        (["--data", "{train}"], r"there is no folder `train` in it"),  # one folder too deep
        (["--data-name", "photographs"], r"--data-name photographs: there is no --data"),
        (["--write", "--page", "elsewhere/page.md"], r"--write: nothing was kept in elsewhere.claims"),
    ],
)
def test_mistakes_are_refused_with_what_to_do(arguments, said, pictures, capsys):
    with pytest.raises(SystemExit) as ended:
        program.parse([one.format(train=pictures / "train") for one in arguments])
    assert ended.value.code == 2
    assert re.search(said, " ".join(capsys.readouterr().err.split()))


def test_a_folder_without_test_images_is_refused_before_the_training(pictures, capsys):
    (pictures / "test").rmdir()
    with pytest.raises(SystemExit):
        program.parse(["--data", str(pictures)])
    assert "there is no folder `test` in it" in capsys.readouterr().err


def test_the_page_calls_the_images_what_they_are(pictures):
    cifar = {"base": {"data": {"class_path": "lightning_prune.lab.ImageFolders"}}}
    given = ["--data", str(pictures)]
    assert program.data_name(cifar, program.parse([])) == "CIFAR-10 as torchvision has it"
    assert program.data_name(cifar, program.parse(given)) == "images of the folder my pictures"
    assert program.data_name(cifar, program.parse([*given, "--data-name", "CIFAR-10 as JPEG"])) == "CIFAR-10 as JPEG"
    digits = {"base": {"data": {"class_path": "lightning_prune.lab.Digits"}}}
    assert program.data_name(digits, program.parse(given)) == "scikit-learn's digits"


def made(*variables: str) -> list[str]:
    """The arguments that `make claims` gives the program."""
    said = subprocess.run(["make", "-n", "claims", *variables], cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = re.findall(r"-m benchmarks\.claims(.*)", said.stdout.replace("\\\n", " "))
    return shlex.split(command)


def test_make_passes_its_variables_on(pictures):
    variables = ("CLAIM=3", f"DATA={pictures}", "FULL=1", "DATA_NAME=CIFAR-10, as JPEG", "WORKERS=3")
    options = program.parse(made(*variables))
    assert (options.claim, options.data, options.full) == ([3], str(pictures), True)
    assert (options.data_name, options.workers) == ("CIFAR-10, as JPEG", 3)
    assert made("CLAIM=3", "DATA=a b", "FULL=1") == ["--claim", "3", "--full", "--data", "a b"]
    assert program.parse(made("CLAIM=2 7")).claim == [2, 7]
    assert made() == []


def test_the_former_name_says_so_and_does_the_same():
    given = ["make", "-n", "evidence", "CLAIM=3"]
    said = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make evidence is make claims now" in said
    assert re.search(r"-m benchmarks\.claims --claim 3\s", said)
