"""Prepare a notebook: no messages that nobody reads, and one thread."""

import logging
import warnings
from collections.abc import Sequence

import torch

_OF_NO_USE = ("IProgress not found", "does not have many workers", "LeafSpec")


def set_up_notebook(threads: int | None = 1, hide: Sequence[str] = ()) -> None:
    """Hide what Lightning says about devices and progress bars, and use one thread.

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
