"""Run a network before and after it is cut, compare what it computes, and find the groups that cannot be cut."""

import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_leaves

from lightning_prune.basics import random_state
from lightning_prune.basics.snapshot import attributes_kept

Outputs = list[Tensor]
# The largest difference that rounding may make, relative to the largest output, by the type of the output.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
IN_TRAINING = 100  # times as much: BatchNorm divides by the spread of a small batch, and enlarges what rounding makes


@dataclass(frozen=True)
class Call:
    """A way to run a network.

    Args:
        function: Runs it on an example, and returns tensors in any nesting.
        is_step: Whether it is a step of a LightningModule, which may change more than buffers.
    """

    function: Callable[[], Any]
    is_step: bool = False

    def __call__(self) -> Any:
        return self.function()


@dataclass(frozen=True)
class Examination:
    """How a network is run for the comparison, and what it computes before anything is cut.

    Args:
        call: Runs the network on the example.
        outputs: What the masked network computes in eval mode (False) and in train mode without dropout (True). Train
            mode is left out where it is not defined: where the network draws random numbers, or does not run, as
            BatchNorm on one number for each channel, or waits for other processes.
    """

    call: Call
    outputs: Mapping[bool, Outputs]

    @classmethod
    def of(cls, module: nn.Module, call: Call, train: bool = True) -> "Examination":
        """Run the masked network.

        Args:
            module: The network, masked.
            call: Runs it on the example.
            train: Whether to run it in train mode, too.
        """
        outputs = {False: _outputs(module, call, training=False)}
        synced = any(isinstance(layer, nn.SyncBatchNorm) for layer in module.modules())
        trained = _trained(module, call) if train and not synced else None
        return cls(call, outputs if trained is None else {**outputs, True: trained})

    def in_mode(self, training: bool) -> "Examination":
        """The examination of one mode alone."""
        return replace(self, outputs={training: self.outputs[training]})


@dataclass(frozen=True)
class Verdict:
    """What came of the comparison.

    Args:
        reason: Why the network is not the same function. None: it is.
        error: The largest difference of the outputs in eval mode, relative to the largest output.
        training: The mode in which the reason was found.
    """

    reason: str | None
    error: float = float("inf")
    training: bool = False


def judge(module: nn.Module, examination: Examination) -> Verdict:
    """Say whether a cut network is the same function as before.

    Args:
        module: The network, cut.
        examination: What it computed before.
    """
    errors = {}
    for training, before in examination.outputs.items():
        mode = "in train mode, " if training else ""
        try:
            errors[training] = _distance(before, _outputs(module, examination.call, training))
        except Exception as error:  # a forward with a literal size may raise anything
            return Verdict(f"{mode}{explained(error)}", training=training)
        tolerance = max((TOLERANCES.get(one.dtype, 0.0) for one in before), default=0.0)
        if errors[training] > tolerance * (IN_TRAINING if training else 1):
            said = f"{mode}the outputs differ by {errors[training]:.1e} of the largest one"
            return Verdict(said, errors[training], training)
    return Verdict(None, errors.get(False, 0.0))


def first_at_fault(names: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> str:
    """Find a group that cannot be cut by bisection.

    Args:
        names: The groups. Cutting all of them fails, and cutting none does not.
        fails: Whether cutting some of the groups fails.

    Returns:
        The group with which the shortest failing beginning of the list ends.

    Example:
        >>> first_at_fault(["a", "b", "c", "d"], lambda some: "c" in some)
        'c'
    """
    passing, failing = 0, len(names)
    while failing - passing > 1:
        middle = (passing + failing) // 2
        passing, failing = (passing, middle) if fails(names[:middle]) else (middle, failing)
    return names[failing - 1]


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


def _trained(module: nn.Module, call: Call) -> Outputs | None:
    try:
        with quiet(module, call, training=True):
            before = random_state.take()
            found = _tensors_in(call())
            drew = not _equal(before, random_state.take())
    except Exception:  # what runs in eval mode only, such as BatchNorm on a single number
        return None
    return None if drew else found  # what is drawn depends on the sizes


def _outputs(module: nn.Module, call: Call, training: bool) -> Outputs:
    with quiet(module, call, training):
        return _tensors_in(call())


def _tensors_in(outputs: Any) -> Outputs:
    found = [one.detach().clone() for one in tree_leaves(outputs) if isinstance(one, Tensor)]
    # A whole number, such as a class, may jump by rounding. It is compared where there is nothing else.
    return [one for one in found if one.is_floating_point() or one.is_complex()] or found


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict | list | tuple):
        values = (
            zip(one.values(), other.values(), strict=True) if isinstance(one, dict) else zip(one, other, strict=True)
        )
        return all(_equal(a, b) for a, b in values)
    return bool(one == other)


def _distance(before: Outputs, after: Outputs) -> float:
    if [one.shape for one in before] != [one.shape for one in after]:
        shapes = " and ".join(str([tuple(one.shape) for one in outputs]) for outputs in (before, after))
        raise ValueError(f"the outputs change their shapes: {shapes}")
    return max((_relative(one, other) for one, other in zip(before, after, strict=True)), default=0.0)


def _relative(before: Tensor, after: Tensor) -> float:
    if torch.equal(before.isfinite(), after.isfinite()) and before.numel():
        one, other = before.nan_to_num(0, 0, 0), after.nan_to_num(0, 0, 0)
        wide = torch.complex128 if one.is_complex() else torch.float64
        difference = (one.to(wide) - other.to(wide)).abs().max()
        return float(difference / one.to(wide).abs().max().clamp(min=1e-30)) if float(difference) else 0.0
    return float("inf") if before.numel() else 0.0


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
        undo.enter_context(random_state.forked(0))
        undo.enter_context(attributes_kept(module) if call.is_step else _buffers_kept(module))
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
