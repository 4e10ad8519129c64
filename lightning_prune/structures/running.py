"""Run a network once, on one sample, without leaving a trace in it."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from lightning_prune.basics.random_state import forked
from lightning_prune.basics.snapshot import attributes_kept
from lightning_prune.basics.user_error import UserError
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
    failed: Exception | None = None
    for sample, computes in product(_samples(module, example), (False, True)):
        trace = Trace(module)
        try:
            _run(module, trace, _computation(module, sample, example is not None), computes)
        except Exception as error:  # whatever a network may raise
            failed = error if computes and failed is None else failed
        else:
            return trace
    what = "training_step" if example is not None and _has_training_step(module) else "forward"
    raise UserError(
        f"structures_of: {what} of {type(module).__name__} does not run on the example in eval mode without gradients: "
        f"{type(failed).__name__}: {failed}. Give an example that it runs on."
    ) from failed


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
            if _has_training_step(one):
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


def _samples(module: nn.Module, example: Any) -> Iterator[Any]:
    """The first sample of the example, and then all of it: not every network takes a batch of one."""
    if example is None:
        example = getattr(module, "example_input_array", None)
        if example is None:
            raise UserError(
                f"structures_of({type(module).__name__}) needs an example: give `example=` a batch for training_step "
                "or an input for forward, or set example_input_array."
            )
    leaves, spec = tree_flatten(example)
    sizes = [len(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()]
    if sizes and sizes[0] > 1:
        first = [
            leaf[:1] if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == sizes[0] else leaf for leaf in leaves
        ]
        yield tree_unflatten(first, spec)
    yield example


def _computation(module: nn.Module, sample: Any, given: bool) -> Callable[[], Any]:
    if given and _has_training_step(module):
        step: Any = module.training_step
        takes_index = len(inspect.signature(step).parameters) > 1
        return lambda: step(sample, 0) if takes_index else step(sample)
    if isinstance(sample, dict):
        return lambda: module(**sample)
    return lambda: module(*sample) if isinstance(sample, tuple | list) else module(sample)


def _has_training_step(module: nn.Module) -> bool:
    """Whether somebody wrote a ``training_step``: Lightning's own raises an error."""
    step = getattr(type(module), "training_step", None)
    return callable(step) and not str(step.__module__).startswith(("lightning.", "pytorch_lightning."))


def _ignore(*_: Any, **__: Any) -> None:
    """What ``self.log`` does in the meantime."""
