"""Prepare a notebook: no messages that nobody reads, one thread, and pictures that look alike."""

import importlib
import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import torch

from lightning_prune.lab.report.canvas import COLORS

_OF_NO_USE = ("IProgress not found", "does not have many workers", "LeafSpec")


def set_up_notebook(threads: int | None = 1, hide: Sequence[str] = ()) -> None:
    """Hide what Lightning says about devices and progress bars, use one thread, and set the look of matplotlib.

    Call it in the first cell of a notebook, before other imports.

    Args:
        threads: The number of threads of torch. Small networks gain nothing from a second one. None: as it is.
        hide: Words of further warnings to hide.

    Example:
        >>> set_up_notebook(threads=None)
    """
    for message in (*_OF_NO_USE, *hide):
        warnings.filterwarnings("ignore", message=f".*{message}")
    import lightning.pytorch  # noqa: F401 - it warns, and sets the levels of its loggers, when it is imported

    for name in ("lightning.pytorch", "lightning.fabric", "torch.utils._pytree"):  # the last warns of other libraries
        logging.getLogger(name).setLevel(logging.ERROR)
    if threads is not None:
        torch.set_num_threads(threads)
    if find_spec("matplotlib") is not None:
        matplotlib, cycler = importlib.import_module("matplotlib"), importlib.import_module("cycler").cycler
        look = {"figure.dpi": 80, "figure.constrained_layout.use": True, "axes.grid": True, "grid.alpha": 0.3}
        matplotlib.rcParams.update({**look, "axes.prop_cycle": cycler(color=COLORS[:6])})
