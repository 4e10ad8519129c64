"""Prepare a notebook: no messages that nobody reads, and one thread."""

import logging
import warnings

import torch

_OF_NO_USE = (
    "IProgress not found",
    "does not have many workers",
    "LeafSpec",
    "replays the learning rates of the dense",
)


def set_up_notebook(threads: int | None = 1) -> None:
    """Hide what Lightning says about devices and progress bars, and use one thread for small networks.

    Call it in the first cell of a notebook, before other imports.

    Args:
        threads: The number of threads of torch. Small networks gain nothing from a second one. None: as it is.

    Example:
        >>> set_up_notebook(threads=None)
    """
    import lightning.pytorch  # noqa: F401 - it sets the levels of its loggers when it is imported

    for message in _OF_NO_USE:
        warnings.filterwarnings("ignore", message=f".*{message}")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if threads is not None:
        torch.set_num_threads(threads)
