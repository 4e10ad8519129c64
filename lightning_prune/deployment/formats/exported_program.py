"""Trace a network into an ``ExportedProgram`` of torch, with which the files of most runtimes begin."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import Dim, ExportedProgram
from torch.export import export as trace

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.formats.file_format import Wishes
from lightning_prune.deployment.ready_network import ReadyNetwork
from lightning_prune.shrinking.quiet_calls import quiet

BATCH = "batch"  # the name of the dimension, which ONNX shows
_TRACED = 2  # rows: torch takes a size of 1 for a constant


def traced_program(ready: ReadyNetwork, wishes: Wishes, rows: int = _TRACED, bounded: bool = False) -> ExportedProgram:
    """Trace a network.

    Args:
        ready: The network.
        wishes: What the user wants of the file.
        rows: The batch on which it is traced, if it takes any batch.
        bounded: Whether the largest batch is part of the program.

    Raises:
        ValueError: If torch cannot trace it for the batches that it shall take.
    """
    arguments = ready.samples.of(wishes.batch or rows)
    args, kwargs = ((), arguments) if isinstance(arguments, dict) else (arguments, {})
    shapes, failures = shapes_of_batch(ready, wishes, bounded), list[Exception]()
    with quiet(ready.network, ready.call, training=False), _plain_attention(), silenced():
        for strict in (False, True):  # the first knows more code, and the second knows that `len(x)` is not fixed
            try:
                return trace(ready.network, args, kwargs, dynamic_shapes=shapes, strict=strict)
            except Exception as error:  # torch and the user's forward may raise anything
                failures.append(error)
    said = "\n".join(line for line in str(failures[0]).strip().splitlines()[:6] if line.strip())
    raise UserError(
        f"torch.export cannot trace {type(ready.network).__name__}: {type(failures[0]).__name__}: {said}\nIf this is "
        "about the batch, give the one size that the file shall take: batch=1."
    ) from failures[0]


def shapes_of_batch(ready: ReadyNetwork, wishes: Wishes, bounded: bool = False) -> Any:
    """Which dimensions are the batch, as torch's exporters take it. None: all sizes are fixed."""
    if wishes.batch is not None or ready.samples.size is None:
        return None
    return ready.samples.marked(Dim(BATCH, min=1, max=wishes.largest_batch) if bounded else Dim(BATCH))


@contextmanager
def silenced() -> Iterator[None]:
    """Hide what libraries tell each other, such as that a function of another one goes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep transformers of torch from the fused operation of one runtime alone."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
