"""Using a module without leaving a trace: what a forward and backward pass may change is put back afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor, nn

from lightning_prune.basics.random_state import forked
from lightning_prune.basics.snapshot import attributes_kept
from lightning_prune.callbacks.compat.namespaces import everywhere


@contextmanager
def without_trace(trainer: "pl.Trainer", seed: int) -> Iterator[None]:
    """Let the module of a trainer be used, and put back what that changes.

    That is parameters, buffers, attributes (counters, lists, modes, the states of metrics), the rates of optimizers,
    logged values and the random state. Compiled code runs as written in the meantime, so that nothing is compiled for
    it.

    Args:
        trainer: The trainer.
        seed: Decides what is drawn in the meantime, in [0, 2^63).
    """
    with module_kept(trainer.lightning_module, seed), _options_kept(trainer), _nothing_logged(trainer):
        yield


@contextmanager
def module_kept(module: nn.Module, seed: int) -> Iterator[None]:
    """Let a module be used that has no trainer, and put back what that changes, as in :func:`without_trace`.

    Args:
        module: The module.
        seed: Decides what is drawn in the meantime, in [0, 2^63).
    """
    with ExitStack() as undo:
        undo.enter_context(forked(seed))
        undo.enter_context(attributes_kept(module))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        undo.enter_context(torch.enable_grad())
        yield


@contextmanager
def gradients_required(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Let gradients be taken with respect to tensors that are frozen, too.

    Args:
        tensors: Leaves of the graph.
    """
    frozen = [tensor for tensor in tensors if not tensor.requires_grad]
    for tensor in frozen:
        tensor.requires_grad_(True)
    try:
        yield
    finally:
        for tensor in frozen:
            tensor.requires_grad_(False)


def silence(module: nn.Module) -> None:
    """Let a module and all below it log nothing, where its attributes are put back afterwards.

    Args:
        module: The module.
    """
    for one in module.modules():
        if isinstance(one, everywhere(pl.LightningModule)):
            one.__dict__.update(log=_ignore, log_dict=_ignore)  # taken away with the other attributes


@contextmanager
def _options_kept(trainer: "pl.Trainer") -> Iterator[None]:
    """Put back learning rates and the like, which a module's own hook may set."""
    options = [(group, dict(group)) for optimizer in trainer.optimizers for group in optimizer.param_groups]
    try:
        yield
    finally:
        for group, before in options:
            group.update(before)


@contextmanager
def _nothing_logged(trainer: "pl.Trainer") -> Iterator[None]:
    loggers = trainer.loggers
    trainer.loggers = [DummyLogger() for _ in loggers]
    silence(trainer.lightning_module)
    try:
        yield
    finally:
        trainer.loggers = loggers


def _ignore(*_: Any, **__: Any) -> None:
    """What ``self.log`` does in the meantime."""
