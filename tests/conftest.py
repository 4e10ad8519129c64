"""Quiet runs: what Lightning tells people about devices would bury what a failing test says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# torch's autograd looks for devices once, at its first pass. After a use of torch.compile it would find one, start a
# thread for it, and refuse to work in processes that are forked later.
torch.ones((), requires_grad=True).backward()


@pytest.fixture(autouse=True)
def _quiet() -> None:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What Lightning's logger tells. It keeps that from the others if it was imported before pytest logged anything.

    The file conftest.py of a folder that pytest is given by name imports it so early.
    """
    monkeypatch.setattr(logging.getLogger("lightning.pytorch"), "propagate", True)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        caplog.set_level(logging.INFO, name)
    return caplog


@pytest.fixture
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where the configs and the benchmarks lie."""
    monkeypatch.chdir(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread, as the processes of a study do: other sums round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
