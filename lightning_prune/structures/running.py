"""Run a network once, on one sample, without leaving a trace in it."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any

import torch
from torch import nn

from lightning_prune.basics.random_state import forked
from lightning_prune.basics.snapshot import attributes_kept
from lightning_prune.basics.user_error import UserError
from lightning_prune.structures.examples import has_training_step, ways_to_run
from lightning_prune.structures.rules.recurrent import tie_states
from lightning_prune.structures.trace import Trace
from lightning_prune.structures.tracing import Chunks, Tracing, outputs_stay


def trace_of(module: nn.Module, example: Any = None) -> Trace:
    """Run a network on one sample, and follow its operations.

    Args:
        module: The network.
        example: See :func:`~lightning_prune.structures.find.structures_of`.

    Returns:
        The labels of all that was met.

    Raises:
        UserError: If there is no example, or the network does not run on it.
    """
    failures: dict[str, Exception] = {}
    for way, computes in product(ways_to_run(module, example), (False, True)):
        trace = Trace(module)
        try:
            _run(module, trace, way.run, computes)
        except Exception as error:  # whatever a network may raise
            if computes:
                failures.setdefault(way.method, error)
        else:
            return trace
    said = "; ".join(f"{method}: {type(error).__name__}: {error}" for method, error in failures.items())
    raise UserError(
        f"structures_of: {type(module).__name__} does not run on the example in eval mode without gradients. "
        f"{said or 'It has no forward'}. Give a batch for training_step or inputs of forward that it runs on."
    ) from next(iter(failures.values()), None)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Let Python's collection of garbage wait until the end of the block.

    A trace makes many objects that all live on to its end. To look through them again and again would take a quarter
    of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _run(module: nn.Module, trace: Trace, compute: Callable[[], Any], computes: bool) -> None:
    tracing = Tracing(trace, computes)
    with _without_effect(module), _modules_noted(module, trace):
        try:
            with Chunks(trace), tracing:
                output = compute()
        finally:
            tracing.put_back()
    outputs_stay(trace, output)


@contextmanager
def _without_effect(module: nn.Module) -> Iterator[None]:
    with ExitStack() as undo:
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        undo.enter_context(forked(0))
        undo.enter_context(attributes_kept(module, tensors=False))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        undo.enter_context(torch.no_grad())
        if any(isinstance(one, nn.RNNBase) for one in module.modules()):
            # One operation for a whole layer would hide what happens inside.
            undo.enter_context(torch.backends.mkldnn.flags(enabled=False))
            undo.enter_context(torch.backends.cudnn.flags(enabled=False))
        fast = torch.backends.mha.get_fastpath_enabled()
        undo.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        for one in module.modules():
            if has_training_step(one):
                one.__dict__.update(log=_ignore, log_dict=_ignore)  # taken away with the other attributes
        module.eval()
        yield


@contextmanager
def _modules_noted(module: nn.Module, trace: Trace) -> Iterator[None]:
    """Note which modules run."""

    def enter(name: str, one: nn.Module) -> Callable[..., None]:
        return lambda *_: trace.running.append((name, one))

    def leave(one: nn.Module, *_: Any) -> None:
        name = trace.running.pop()[0]
        if isinstance(one, nn.RNNBase):
            tie_states(trace, name, one)

    handles = []
    for name, one in module.named_modules():
        handles.append(one.register_forward_pre_hook(enter(name, one)))
        handles.append(one.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ignore(*_: Any, **__: Any) -> None:
    """What ``self.log`` does in the meantime."""
