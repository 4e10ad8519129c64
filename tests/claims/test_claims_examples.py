"""The examples in the docstrings run: pytest collects those of the package and of the tests alone."""

import doctest
from importlib import import_module

import pytest
from study_files import ROOT

MODULES = sorted(path.stem for path in (ROOT / "benchmarks" / "claims").glob("*.py") if ">>> " in path.read_text())


def test_there_are_examples():
    assert {"claim", "contrasts", "results", "tables"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_say_what_comes_out(name):
    found = doctest.testmod(import_module(f"benchmarks.claims.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
