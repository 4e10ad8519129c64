"""CONTRIBUTING is true: the folders it names exist, and a new member touches the files of its row and no others."""

import re
from pathlib import Path

import pytest

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
ROWS = {
    row.split("|")[1].strip(): row.split("|")[3]
    for row in TEXT.splitlines()
    if row.startswith("| ") and row.count("|") == 4 and not row.startswith("| to add")
}


def test_every_path_it_names_exists():
    for path in re.findall(r"`((?:lightning_prune|tests|benchmarks|configs|docs)/[\w/.]*)`", TEXT):
        assert (ROOT / path).exists(), path


def test_there_is_a_row_for_each_kind_of_thing_that_is_added():
    kinds = {
        "criterion",
        "allocation",
        "granularity",
        "sparsity schedule",
        "learning-rate policy",
        "starting point",
        "network",
        "data set",
    }
    assert kinds < ROWS.keys()


@pytest.mark.parametrize(
    ("kind", "member", "home"),
    [
        ("criterion", "synflow", "lightning_prune/criteria/flow.py"),
        ("allocation", "WithFloor", "lightning_prune/allocation/floor.py"),
        ("granularity", "Blocks", "lightning_prune/granularity/blocks.py"),
        ("sparsity schedule", "Cubic", "lightning_prune/schedules/sparsity.py"),
        ("learning-rate policy", "AdaptiveLinearRestart", "lightning_prune/callbacks/policies/adaptive.py"),
        ("starting point", "ScratchTrain", "lightning_prune/callbacks/starting_points/scratch_train.py"),
        ("network", "WideResNet", "lightning_prune/lab/networks/wide_resnet.py"),
        ("data set", "Digits", "lightning_prune/lab/data/digits.py"),
    ],
)
def test_a_member_that_exists_is_imported_in_the_files_of_its_row(kind, member, home):
    """Whoever imports the member by name would have to change for a new one."""
    listed = set(re.findall(r"`(lightning_prune/[\w/.]+\.py)`", ROWS[kind]))
    folder = next(iter(re.findall(r"a new file in `([\w/]+)/`", ROWS[kind])), Path(home).parent.as_posix())
    package = ROOT / "lightning_prune"
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in [*package.rglob("__init__.py"), package / "public_names.py"]
        if re.search(rf"import[^\n]*\b{member}\b|^ +{member},$", path.read_text(), flags=re.MULTILINE)
    }
    assert Path(home).parent.as_posix() == folder
    assert importers <= {*listed, "lightning_prune/criteria/__init__.py", "lightning_prune/allocation/__init__.py"} | (
        {"lightning_prune/public_names.py"} if kind in ("criterion", "allocation") else set()
    )
    if kind not in ("criterion", "allocation"):
        assert importers == listed - {home}
