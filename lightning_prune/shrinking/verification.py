"""Run a network before and after it is cut, compare what it computes, and find the groups that cannot be cut."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_prune.basics import random_state
from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.quiet_calls import Call, explained, quiet

Outputs = list[Tensor]
# The largest difference that rounding may make, relative to the largest output, by the type of the output.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
IN_TRAINING = 100  # times as much: BatchNorm divides by the spread of a small batch, and enlarges what rounding makes


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
            errors[training] = distance(before, _outputs(module, examination.call, training))
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


def _trained(module: nn.Module, call: Call) -> Outputs | None:
    try:
        with quiet(module, call, training=True):
            before = random_state.take()
            found = tensors_in(call())
            drew = not _equal(before, random_state.take())
    except Exception:  # what runs in eval mode only, such as BatchNorm on a single number
        return None
    return None if drew else found  # what is drawn depends on the sizes


def _outputs(module: nn.Module, call: Call, training: bool) -> Outputs:
    with quiet(module, call, training):
        return tensors_in(call())


def tensors_in(outputs: Any) -> Outputs:
    """The tensors in what a network returns. Whole numbers are left out, unless there is nothing else.

    Example:
        >>> tensors_in({"class": torch.tensor(3), "scores": torch.ones(2)})
        [tensor([1., 1.])]
    """
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


def distance(before: Outputs, after: Outputs) -> float:
    """The largest difference of outputs, relative to the largest output of its tensor.

    Args:
        before: The outputs that are right.
        after: The outputs that are compared with them.

    Returns:
        0 if they are equal, and infinity if one is not finite where the other is.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> distance([torch.tensor([2.0, 4.0])], [torch.tensor([2.0, 3.0])])
        0.25
        >>> distance([torch.tensor([0.0, 4.0])], [torch.tensor([float("nan"), 4.0])])
        inf
    """
    if [one.shape for one in before] != [one.shape for one in after]:
        shapes = " and ".join(str([tuple(one.shape) for one in outputs]) for outputs in (before, after))
        raise UserError(f"the outputs change their shapes: {shapes}")
    return max((_relative(one, other) for one, other in zip(before, after, strict=True)), default=0.0)


def _relative(before: Tensor, after: Tensor) -> float:
    if torch.equal(before.isfinite(), after.isfinite()) and before.numel():
        one, other = before.nan_to_num(0, 0, 0), after.nan_to_num(0, 0, 0)
        wide = torch.complex128 if one.is_complex() else torch.float64
        difference = (one.to(wide) - other.to(wide)).abs().max()
        return float(difference / one.to(wide).abs().max().clamp(min=1e-30)) if float(difference) else 0.0
    return float("inf") if before.numel() else 0.0
