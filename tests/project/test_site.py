"""The site: its folders can be read at a glance, and its hooks do what their examples say."""

import doctest
import importlib
import sys
from pathlib import Path

import pytest

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]
HOOKS = sorted(path.stem for path in (ROOT / "website").glob("*.py"))


@pytest.mark.parametrize("name", HOOKS)
def test_the_examples_of_a_hook_are_true(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "website")
    module = importlib.import_module(name)
    try:
        assert doctest.testmod(module).failed == 0
    finally:
        for hook in HOOKS:
            sys.modules.pop(hook, None)


def test_a_folder_of_pages_is_read_at_a_glance():
    for folder in {path.parent for path in (ROOT / "docs").rglob("*.md")}:
        assert len(list(folder.iterdir())) <= 16, folder
