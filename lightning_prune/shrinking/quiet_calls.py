"""Run a network on an example without leaving a trace in it."""

import linecache
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from lightning_prune.basics.random_state import forked
from lightning_prune.basics.snapshot import attributes_kept


@dataclass(frozen=True)
class Call:
    """A way to run a network.

    Args:
        function: Runs it on an example, and returns tensors in any nesting.
        inputs: The arguments of ``forward``, by place or by name. None: it is a step of a LightningModule, which may
            change more than buffers.
    """

    function: Callable[[], Any]
    inputs: tuple[Any, ...] | dict[str, Any] | None = None

    def __call__(self) -> Any:
        return self.function()


@contextmanager
def quiet(module: nn.Module, call: Call, training: bool) -> Iterator[None]:
    """Run a network in a mode without gradients, and put back what this changes.

    Args:
        module: The network.
        call: What is going to be run. What ``forward`` may change is put back, and for a step of a LightningModule all
            that the module holds, such as the states of metrics.
        training: Whether it runs in train mode. Dropout is off in any case.
    """
    with ExitStack() as undo:
        undo.enter_context(forked(0))
        undo.enter_context(attributes_kept(module) if call.inputs is None else _buffers_kept(module))
        undo.enter_context(torch.no_grad())
        undo.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        for layer in module.modules():
            undo.callback(setattr, layer, "training", layer.training)
            layer.training = training and not isinstance(layer, _DropoutNd)
        for name in ("log", "log_dict"):  # of a LightningModule: nothing is logged
            if hasattr(module, name):
                module.__dict__[name] = _ignore
                undo.callback(module.__dict__.pop, name)
        yield


def explained(error: BaseException) -> str:
    """Say where an error was raised: in whose ``forward``, at which line of code, and what torch says.

    Args:
        error: The error that a network raised.

    Returns:
        The place is the innermost module that is none of torch's own. Its code has the size that does not fit.

    Example:
        >>> class Block(nn.Module):
        ...     def forward(self, x):
        ...         return x.view(-1, 16)
        >>> try:
        ...     Block()(torch.zeros(1, 3))
        ... except RuntimeError as error:
        ...     explained(error)
        "RuntimeError in Block.forward at `return x.view(-1, 16)`: shape '[-1, 16]' is invalid for input of size 3"
    """
    frames = [(frame.f_locals.get("self"), frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    inside = [one for one in frames if isinstance(one[0], nn.Module) and "_call_impl" not in one[1].f_code.co_name]
    message = (str(error).strip() or "no message").splitlines()[0]
    if not inside:
        return f"{type(error).__name__}: {message}"
    own = [one for one in inside if not one[1].f_globals.get("__name__", "").startswith("torch.nn.")]
    owner, frame, line = (own or inside)[-1]
    code = linecache.getline(frame.f_code.co_filename, line).strip()
    place = f"{type(owner).__name__}.{frame.f_code.co_name}" + (f" at `{code}`" if code else "")
    return f"{type(error).__name__} in {place}: {message}"


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """Put back buffers, and which values the attributes of all modules have."""
    attributes = [(one, dict(vars(one)), dict(one._buffers)) for one in module.modules()]
    copies = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for one, values, buffers in attributes:
            vars(one).clear()
            vars(one).update(values)
            one._buffers.clear()
            one._buffers.update(buffers)
        for buffer, copy in copies:
            buffer.copy_(copy)


def _ignore(*_: Any, **__: Any) -> None:
    """What ``self.log`` does in the meantime."""
