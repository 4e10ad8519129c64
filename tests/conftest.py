"""Quiet runs: what Lightning tells people about devices would bury what a failing test says."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> None:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
