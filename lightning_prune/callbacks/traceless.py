"""Using a module without leaving a trace: what a forward and backward pass may change is put back afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor, nn

from lightning_prune.callbacks.random_state import put_back, take


@contextmanager
def without_trace(trainer: "pl.Trainer") -> Iterator[None]:
    """Let the module of a trainer be used, and put back what that changes.

    That is buffers, plain attributes (counters, lists, modes, the states of metrics), logged values and the random
    state. Compiled code runs as written in the meantime, so that nothing is compiled for it.

    Args:
        trainer: The trainer.
    """
    module, generators = trainer.lightning_module, take()
    with ExitStack() as undo:
        undo.callback(put_back, generators)
        undo.enter_context(attributes_kept(module))
        undo.enter_context(_nothing_logged(trainer))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        undo.enter_context(torch.enable_grad())
        yield


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Put back the attributes of a module and of all below it: which objects they are, and what is in them.

    Args:
        module: The module. The values of its parameters are not looked at.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> with attributes_kept(norm):
        ...     _ = norm(torch.rand(4, 2))
        ...     norm.calls = 1
        >>> norm.num_batches_tracked, hasattr(norm, "calls")
        (tensor(0), False)
    """
    attributes = [(one.__dict__, dict(one.__dict__)) for one in module.modules()]
    contents: list[tuple[Any, Any]] = []
    for _, values in attributes:
        for name, value in values.items():
            held = value.values() if name == "_buffers" else [value]
            contents += [(one, _copy(one)) for one in [value, *held] if _is_plain(one)]
    try:
        yield
    finally:
        for now, before in attributes:
            now.clear()
            now.update(before)
        with torch.no_grad():
            for kept, copy in contents:
                _fill(kept, copy)


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


@contextmanager
def _nothing_logged(trainer: "pl.Trainer") -> Iterator[None]:
    loggers = trainer.loggers
    trainer.loggers = [DummyLogger() for _ in loggers]
    for one in trainer.lightning_module.modules():
        if isinstance(one, pl.LightningModule):
            one.__dict__.update(log=_ignore, log_dict=_ignore)  # taken away with the other attributes
    try:
        yield
    finally:
        trainer.loggers = loggers


def _ignore(*_: Any, **__: Any) -> None:
    """What ``self.log`` does in the meantime."""


def _is_plain(value: Any) -> bool:
    return type(value) in (list, dict, set) or (isinstance(value, Tensor) and not isinstance(value, nn.Parameter))


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value.copy()


def _fill(kept: Any, copy: Any) -> None:
    if isinstance(kept, Tensor):
        kept.detach().copy_(copy)
        return
    kept.clear()
    kept.extend(copy) if isinstance(kept, list) else kept.update(copy)
