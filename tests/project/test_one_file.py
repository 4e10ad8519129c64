"""Adding a criterion or an allocation touches one file: inside the package, and outside as the README shows it."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from laws import test_a_criterion_keeps_the_shape_and_touches_nothing as a_criterion_keeps_the_shape_and_touches_nothing
from laws import (
    test_an_allocation_spends_the_budget_exactly_and_within_bounds as an_allocation_spends_the_budget_exactly_and_within_bounds,
)
from members import allocations_of, criteria_of, named

import lightning_prune
from lightning_prune import IterativePruning, allocation, criteria
from lightning_prune.lab.cli.command_line import CommandLine

README = (Path(lightning_prune.__file__).parents[1] / "README.md").read_text()

CRITERION = '''
"""A file of one criterion."""
from dataclasses import dataclass
from torch import Tensor
from lightning_prune.criteria import Evidence, Scorer, elementwise


@elementwise
def smallest(weight: Tensor, evidence: Evidence) -> Tensor:
    return -weight.detach().abs()


@dataclass(frozen=True, repr=False)
class Power(Scorer):
    """As it is written.

    Example:
        >>> Power(exponent=3.0)
        Power(exponent=3.0)
    """

    exponent: float

    def __call__(self, weight, evidence):
        return weight.detach().abs() ** self.exponent
'''

ALLOCATION = '''
"""A file of one allocation."""
from collections.abc import Mapping
from dataclasses import dataclass
from lightning_prune.allocation import spend
from lightning_prune.allocation.rule import Rule
from lightning_prune.criteria.scores import Scores


def by_root(scores: Scores, density: float) -> Mapping[str, int]:
    return spend({name: shape.numel() ** -0.5 for name, shape in scores.shapes.items()}, scores, density)


@dataclass(frozen=True, repr=False)
class ByPower(Rule):
    """As it is written.

    Example:
        >>> ByPower(-0.5)
        ByPower(exponent=-0.5)
    """

    exponent: float

    def __call__(self, scores, density):
        return spend({name: shape.numel() ** self.exponent for name, shape in scores.shapes.items()}, scores, density)
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A file in each package, as if it lay beside the others."""
    for package, text in ((criteria, CRITERION), (allocation, ALLOCATION)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "newest.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    for package in (criteria, allocation):
        sys.modules.pop(f"{package.__name__}.newest", None)
        vars(package).pop("newest", None)


def fitted_from_yaml(folder, **arguments):
    """What a command line with these arguments of IterativePruning gives."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    arguments = {"cycles": 1, "retrain": "1ep", **arguments}
    callbacks = [{"class_path": "lightning_prune.IterativePruning", "init_args": arguments}]
    config = {
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "callbacks": callbacks, **quiet},
        "model": {"class_path": "toys.Toy"},
        "data": {"class_path": "toys.Images"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = CommandLine([f"--config={folder / 'config.yaml'}"], run=False)
    command.trainer.fit(command.model, command.datamodule)
    return next(c for c in command.trainer.callbacks if isinstance(c, IterativePruning))


def test_a_new_file_in_the_package_is_under_the_laws(added):
    found = {named(c): c for c in criteria_of(criteria)}
    assert {"smallest", "Power(exponent=3.0)"} <= set(found)
    a_criterion_keeps_the_shape_and_touches_nothing(found["smallest"])
    found = {named(a): a for a in allocations_of(allocation)}
    assert {"by_root", "ByPower(exponent=-0.5)"} <= set(found)
    an_allocation_spends_the_budget_exactly_and_within_bounds(found["by_root"], 0.5)


@pytest.mark.parametrize(
    ("criterion", "allocate"),
    [
        ("smallest", "by_root"),
        (
            {"class_path": "Power", "init_args": {"exponent": 2.0}},
            {"class_path": "ByPower", "init_args": {"exponent": -1.0}},
        ),
    ],
    ids=["functions", "values"],
)
def test_a_new_file_in_the_package_is_usable_from_yaml(criterion, allocate, added, tmp_path):
    pruning = fitted_from_yaml(
        tmp_path, criterion=in_file(criterion, "criteria"), allocation=in_file(allocate, "allocation")
    )
    assert pruning.measured_sparsity == pytest.approx(0.2, abs=1e-3)
    assert (
        type(pruning.criterion).__module__ == "lightning_prune.criteria.newest"
        or pruning.criterion.__name__ == criterion
    )


def in_file(written, family):
    if isinstance(written, str):
        return f"lightning_prune.{family}.newest.{written}"
    return {**written, "class_path": in_file(written["class_path"], family)}


def test_the_criterion_of_the_readme_is_one_file_and_goes_into_yaml(tmp_path, monkeypatch):
    block = next(
        b for b in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "def distance_from_mean" in b
    )
    text, _, _ = block.partition("\n\n\npruning =")
    assert text != block
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    pruning = fitted_from_yaml(tmp_path, criterion="mine.distance_from_mean")
    sys.modules.pop("mine")
    assert pruning.criterion.__name__ == "distance_from_mean"
    assert pruning.measured_sparsity == pytest.approx(0.2, abs=1e-3)
