"""Mask, reset or restore the state of an optimizer when weights die."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)

# Each weight's step depends on its own gradient alone, so the gradients of dead weights do not affect living weights.
_ELEMENTWISE = {SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adadelta, Adagrad, ASGD, RMSprop, Rprop, SparseAdam}


def mask_moments_(optimizer: Optimizer, masks: Mapping[Tensor, Tensor]) -> None:
    """Set the moments of dead weights to zero, in place.

    Args:
        optimizer: The optimizer. Every tensor in a weight's state that has the weight's shape is a moment and is
            masked. There is one exception. An optimizer that mixes weights may keep a symmetric matrix for the rows or
            columns of a square weight. The optimizer takes roots of this matrix, so the matrix is not masked. LBFGS
            keeps one history of all weights, so its whole state is reset.
        masks: Masks by weight.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.grad = torch.ones(2)
        >>> optimizer.step()
        >>> mask_moments_(optimizer, {weight: torch.tensor([1, 0], dtype=torch.uint8)})
        >>> optimizer.state[weight]["momentum_buffer"]
        tensor([1., 0.])
    """
    if isinstance(optimizer, LBFGS):
        reset_(optimizer)
        return
    may_mix = not is_elementwise(optimizer)
    with torch.no_grad():
        for weight, mask in masks.items():
            for moment in optimizer.state.get(weight, {}).values():
                of_weight = isinstance(moment, Tensor) and moment.shape == weight.shape
                if of_weight and not (may_mix and _is_symmetric(moment)):
                    moment.mul_(mask)


def reset_(optimizer: Optimizer) -> None:
    """Reset the optimizer's state to that of a new optimizer. The parameter groups do not change."""
    optimizer.state.clear()
    if isinstance(getattr(optimizer, "base", optimizer), Adagrad):  # it makes its state when it is built, nowhere else
        optimizer.state.update(Adagrad([dict(group) for group in optimizer.param_groups], **optimizer.defaults).state)


def snapshot_of(optimizer: Optimizer) -> dict[int, Any]:
    """Copy the state of an optimizer to the CPU.

    Args:
        optimizer: The optimizer.

    Returns:
        The state of every parameter that has one, by the parameter's index over all groups.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.grad = torch.ones(2)
        >>> optimizer.step()
        >>> before = snapshot_of(optimizer)
        >>> optimizer.step()
        >>> put_back_(optimizer, before)
        >>> optimizer.state[weight]["momentum_buffer"]
        tensor([1., 1.])
    """
    states = {place: optimizer.state.get(weight, {}) for place, weight in enumerate(_in_order(optimizer))}
    return {place: _moved(state, torch.device("cpu")) for place, state in states.items() if state}


def put_back_(optimizer: Optimizer, snapshot: Mapping[int, Any]) -> None:
    """Restore the state of an optimizer from a snapshot. Later state is lost.

    Args:
        optimizer: The optimizer. Parameters that were added after the snapshot start without state. The parameter
            groups do not change.
        snapshot: The result of :func:`snapshot_of`. It is not changed.
    """
    reset_(optimizer)
    groups = [group for group in optimizer.param_groups for _ in group["params"]]
    for place, (weight, group) in enumerate(zip(_in_order(optimizer), groups, strict=True)):
        if place not in snapshot:
            continue
        # Place the state as torch does. The step count stays on the CPU, unless a fused or captured step reads it.
        counted = bool(group.get("capturable") or group.get("fused"))
        where = {"step": weight.device if counted else torch.device("cpu")}
        optimizer.state[weight] = {
            name: _moved(value, where.get(name, weight.device)) for name, value in snapshot[place].items()
        }


def _in_order(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _moved(value: Any, device: torch.device) -> Any:
    """A copy of a state, with its tensors on another device."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {name: _moved(inner, device) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(inner, device) for inner in value]
    return value


def has_skipped(optimizer: Optimizer) -> bool:
    """Whether the optimizer skipped its last step because the gradients overflowed.

    Only fused optimizers need this check, because they look for overflows inside the step. For other optimizers the
    ``GradScaler`` looks for overflows and does not call the step.

    Args:
        optimizer: The optimizer, in a hook after its step.
    """
    found_inf = getattr(optimizer, "found_inf", None)
    return found_inf is not None and bool(found_inf)


def owned_by(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that an optimizer trains, in the order of its groups.

    Args:
        optimizer: The optimizer.

    Example:
        >>> owned_by(torch.optim.SGD([torch.ones(2)], lr=0.1))
        [tensor([1., 1.])]
    """
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether the step of each weight is known to depend on its own gradient alone.

    Args:
        optimizer: The optimizer.

    Returns:
        True for torch's elementwise optimizers. False for torch's other optimizers and for optimizers of other
        libraries.
    """
    return type(optimizer) in _ELEMENTWISE


def _is_symmetric(moment: Tensor) -> bool:
    square = moment.dim() == 2 and moment.shape[0] == moment.shape[1] > 1
    return square and torch.allclose(moment, moment.T)
